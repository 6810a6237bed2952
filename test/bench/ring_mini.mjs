// Measures a model that is larger than the memory it may take: reading, decoding, and peak memory.
//
//   node test/bench/ring_mini.mjs MODEL [--memory BYTES] [--limit BYTES] [--prompts 128,512]
//     [--decode 32] [--coverage 1] [--share 1] [--json]
//
// --memory is what the engine is told (memoryBytes); --limit is what the system enforces: the
// process runs in a memory cgroup of that size, which holds its own memory and the file pages that
// it reads. Linux with cgroup v1 and root only. The model's pages are dropped from the page cache
// first. ring_mini.py writes a model.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    memory: { type: "string", default: "0" },
    limit: { type: "string" },
    context: { type: "string", default: "1024" },
    prompts: { type: "string", default: "128,512" },
    decode: { type: "string", default: "32" },
    coverage: { type: "string", default: "1" },
    share: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const GROUPS = "/sys/fs/cgroup/memory";

/** Takes the model's files out of the page cache, so that reading is charged to who reads. */
function dropFromCache(folder) {
  const files = readdirSync(folder).map((name) => join(folder, name));
  const drop = `import os, sys
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)`;
  spawnSync("python3", ["-c", drop, ...files.filter((file) => statSync(file).isFile())]);
}

/** Runs this script again inside a group of `limit` bytes, and adds what the group counted. */
function runLimited(limit) {
  const group = join(GROUPS, `ringside-bench-${process.pid}`);
  mkdirSync(group);
  try {
    writeFileSync(join(group, "memory.limit_in_bytes"), limit);
    const again = process.argv.slice(2).filter((arg, i, all) => {
      return arg !== "--limit" && all[i - 1] !== "--limit" && !arg.startsWith("--limit=");
    });
    const script = fileURLToPath(import.meta.url);
    const inside = `echo $$ > ${group}/cgroup.procs; exec "$0" "$@"`;
    const args = ["-c", inside, process.execPath, script, ...again, "--json"];
    const { status, signal, stdout } = spawnSync("sh", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    const counted = (name) => Number(readFileSync(join(group, name), "utf8"));
    const measured = status === 0 ? JSON.parse(stdout) : { failed: signal ?? `status ${status}` };
    const groupPeakBytes = counted("memory.max_usage_in_bytes");
    return { ...measured, limitBytes: Number(limit), groupPeakBytes };
  } finally {
    rmdirSync(group);
  }
}

const statusBytes = (key) =>
  1024 * Number(new RegExp(`${key}:\\s*(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]);

/** Bytes that this process has had read from disk so far. */
const bytesRead = () =>
  Number(/^read_bytes: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))[1]);

async function measure(path) {
  const root = resolve(import.meta.dirname, "../..");
  const { Engine } = createRequire(import.meta.url)(join(root, "native/index.js"));
  const engine = await Engine.load(path, {
    contextTokens: Number(values.context),
    memoryBytes: Number(values.memory),
    expertCoverage: Number(values.coverage),
    activeShare: Number(values.share),
    threads: 2,
  });
  const never = Uint32Array.of(engine.info.vocabularySize - 1);
  const runs = [];
  for (const prompt of values.prompts.split(",").map(Number)) {
    engine.reset();
    const tokens = Uint32Array.from({ length: prompt }, (_, i) => 20 + ((i * 7919) % 430));
    const maxTokens = Number(values.decode);
    const before = bytesRead();
    const first = await engine.generate({ tokens, maxTokens: 1, ends: never }).done;
    const between = bytesRead();
    const made = await engine.generate({ tokens, maxTokens, ends: never }).done;
    const decoded = made.tokens.length - 1; // the first comes from reading
    runs.push({
      prompt,
      readPerSecond: (1000 * first.readTokens) / first.readMs,
      readDiskBytes: between - before,
      decodePerSecond: (1000 * decoded) / made.decodeMs,
      decodeDiskBytes: bytesRead() - between,
    });
  }
  const plan = engine.info.memory.explanation;
  const [peakBytes, anonymousBytes] = [statusBytes("VmHWM"), statusBytes("RssAnon")];
  engine.close();
  return { plan, runs, peakBytes, anonymousBytes };
}

const path = resolve(positionals[0]);
if (values.limit) dropFromCache(path);
const result = values.limit ? runLimited(values.limit) : await measure(path);
console.log(JSON.stringify(result, null, values.json ? 0 : 2));
