// Fuzzes what reads models: `node test/fuzz/run.mjs [SECONDS]`, 12 seconds a target by default.
// Ends with 1 if one crashes, leaks, hangs or reads out of bounds; its input is left in build/fuzz.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { finished } from "../finished.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const build = resolve(here, "../../build/fuzz");
const tiny = join(here, "../fixtures/native/tiny");
const seconds = Number(process.argv[2] ?? 12);

function must(command, args) {
  const done = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (done.error) console.error(`${done.error.message}. Fuzzing needs Clang and CMake.`);
  if (done.status !== 0) process.exit(1);
}

const LONGEST = 16384; // bytes; a real file of each kind has a head that fits
const MODELS = 6; // of test/fuzz/files.cpp: the first half of a first byte chooses one
const KINDS = 16; // of edits, see test/fuzz/model.cpp

/** One edit of each kind to each model, in the middle of what it may edit. */
function modelSeeds() {
  const edits = Array.from({ length: MODELS * KINDS }, (_, i) => {
    const [model, kind] = [Math.floor(i / KINDS), i % KINDS];
    return [`edit${i}`, Uint8Array.of(2 * model + (kind % 2), kind, 128, 16 * kind, kind)];
  });
  const untouched = Array.from({ length: MODELS }, (_, model) => {
    return [`whole${model}`, Uint8Array.of(2 * model, 0, 255, 255, 0)];
  });
  return Object.fromEntries([...edits, ...untouched]);
}

/** Real files to start from: small heads of what the parsers meet. */
function writeSeeds() {
  const config = readFileSync(join(tiny, "config.json"));
  const weights = readFileSync(join(tiny, "model.safetensors"));
  const header = weights.subarray(8, 8 + Number(weights.readBigUInt64LE(0)));
  const text = '{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}        ';
  const small = Buffer.concat([Buffer.alloc(8), Buffer.from(text), Buffer.alloc(8, 1)]);
  small.writeBigUInt64LE(BigInt(text.length), 0);
  const seeds = {
    json: { config, header: header.subarray(0, 2048), escapes: '["\\ud83d\\ude42\\n", -1.5e-3]' },
    gguf: { real: readFileSync(`${tiny}/../qwen2-tiny.gguf`).subarray(0, LONGEST) },
    model: modelSeeds(),
    safetensors: { small, real: weights.subarray(0, 4096) },
    tokenizer: {
      tokenizer: readFileSync(join(tiny, "tokenizer.json")),
      pattern: "/\\s*[\\r\\n]+|(?i:'s)|[^\\p{L}]?+\\p{L}{1,3}|\\s+(?!\\S)|a*?$\n  a's\n\n abc  ",
      gguf: "g1ba\n1cab\n3d<s>\n1e\u2581\n1f\u2581ab\n",
      text: " def check(value):\n    return [value + 12]\r\n\tcaf\u00e9 \u65e5\u672c \u{1f642}",
    },
  };
  for (const [target, files] of Object.entries(seeds)) {
    rmSync(join(build, "seeds", target), { recursive: true, force: true });
    mkdirSync(join(build, "seeds", target), { recursive: true });
    for (const [name, bytes] of Object.entries(files)) {
      writeFileSync(join(build, "seeds", target, name), bytes);
    }
  }
  return Object.keys(seeds);
}

/** Fuzzes one target, and says how that went: whether it found nothing. */
async function fuzz(target) {
  const corpus = join(build, "corpus", target);
  cpSync(join(build, "seeds", target), corpus, { recursive: true });
  const { ok, output } = await finished(join(build, `fuzz_${target}`), [
    corpus,
    `-max_total_time=${seconds}`,
    "-timeout=5",
    "-rss_limit_mb=2048",
    `-max_len=${LONGEST}`,
    `-artifact_prefix=${build}/${target}-`,
  ]);
  const runs = /Done (\d+) runs/.exec(output)?.[1];
  if (ok) console.log(`${target}: ${runs} runs in ${seconds} s, no finding`);
  else console.error(`${target}: failed\n${output.slice(-4000)}`);
  return ok;
}

must("cmake", ["-S", here, "-B", build, "-DCMAKE_CXX_COMPILER=clang++"]);
must("cmake", ["--build", build, "-j", "2"]);
const targets = writeSeeds();
let failed = false;
// Each takes one core.
const fuzzInTurn = async () => {
  for (let target = targets.shift(); target !== undefined; target = targets.shift())
    if (!(await fuzz(target))) failed = true;
};
await Promise.all(Array.from({ length: availableParallelism() }, fuzzInTurn));
process.exit(failed ? 1 : 0);
