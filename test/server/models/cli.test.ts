// The commands, with a server in place of Hugging Face.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { choose, choices, folderOf } from "../../../server/models/catalogue";
import { progressLine, runModels, type Terminal } from "../../../server/models/cli";
import { isThere } from "../../../server/models/source";
import { answers, FileServer, stallsAfter } from "./server";

let server: FileServer;
let directory: string;

beforeEach(async () => {
  server = await FileServer.start();
  directory = await mkdtemp(join(tmpdir(), "ringside-cli-"));
});
afterEach(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Runs a command; its exit code and what it wrote. */
async function run(
  args: readonly string[],
  { live = false, signal = new AbortController().signal } = {},
) {
  let out = "";
  let err = "";
  const terminal: Terminal = {
    out: (line) => {
      out += `${line}\n`;
    },
    err: (text) => {
      err += text;
    },
    live,
  };
  const code = await runModels([...args, "--models-directory", directory], terminal, signal);
  return { code, out, err };
}

const unpinned = "starcoder2-3b-q4_k_m"; // of which neither size nor SHA-256 is known

function check(args: readonly string[], code: string, message: RegExp) {
  return assert.rejects(run(args), { code, message });
}

suite("ringside models", () => {
  test("lists every form of every model, by an id that pull takes", async () => {
    const { out, code } = await run(["models"]);
    assert.equal(code, 0);
    const rows = out.split("\n\n")[0]!.split("\n").slice(1);
    assert.equal(rows.length, choices().length);
    for (const row of rows) choose(row.split(" ")[0]!);
    assert.match(
      out,
      /^qwen2\.5-coder-1\.5b +Qwen2\.5-Coder 1\.5B \(Q8_0\) +1\.6 GB .* 43\.9 +code$/m,
    );
  });
  test("says which are here", async () => {
    await run(["pull", unpinned, "--mirror", server.base]);
    const { out } = await run(["models", "--json"]);
    const models = JSON.parse(out) as { id: string; downloaded: boolean; humanEval: unknown }[];
    assert.deepEqual(
      models.filter(({ downloaded }) => downloaded).map(({ id }) => id),
      ["ringside-small", "starcoder2-3b"],
    );
  });
});

suite("ringside remove", () => {
  test("deletes what was downloaded, also in part, and nothing else", async () => {
    await run(["pull", unpinned, "--mirror", server.base]);
    const folder = folderOf(choose(unpinned), directory);
    const { code, err } = await run(["remove", unpinned]);
    assert.equal(code, 0);
    assert.match(err, /^\d.* are free now\.\n$/);
    assert.equal(isThere(choose(unpinned), directory), false);
    assert.deepEqual([existsSync(folder), existsSync(directory)], [false, true]);
    await mkdir(folder);
    await writeFile(join(folder, "a.gguf.part"), "half");
    assert.match((await run(["remove", unpinned])).err, /^4 B/);
  });
  test("says why it does not", async () => {
    await check(["remove", unpinned], "MODEL_NOT_FOUND", /is not in .*starcoder2-3b-q4_k_m/);
    await check(["remove", "ringside-small"], "BAD_REQUEST", /comes with Ringside/);
    await check(["remove", "../x"], "MODEL_NOT_FOUND", /no model "\.\.\/x"/);
    const folder = folderOf(choose(unpinned), directory);
    await mkdir(folder);
    const holder = { id: "x", pid: process.pid, host: hostname() };
    await writeFile(join(folder, "a.gguf.lock"), JSON.stringify(holder));
    await check(["remove", unpinned], "BAD_REQUEST", /is being downloaded now/);
    assert.equal(existsSync(folder), true);
  });
});

suite("ringside pull", () => {
  test("brings a model and says where it is", async () => {
    const { code, out, err } = await run(["pull", unpinned, "--mirror", server.base]);
    assert.equal(code, 0);
    const path = join(directory, "starcoder2-3b-q4_k_m", "starcoder2-3b-Q4_K_M.gguf");
    assert.equal(out, `${path}\n`);
    assert.deepEqual(readFileSync(path), server.content);
    assert.match(err, /100 % {2}300 kB of 300 kB/);
    assert.match(err, /Set "ringside\.model" to "starcoder2-3b-q4_k_m"/);
    const sha256 = createHash("sha256").update(server.content).digest("hex");
    assert.match(err, new RegExp(`Nobody says what .* should be; its SHA-256 is ${sha256}`));
  });
  test("brings it to a folder of one's own", async () => {
    const to = join(directory, "here");
    const { out } = await run(["pull", unpinned, "--mirror", server.base, "--to", to]);
    assert.equal(out, `${join(to, "starcoder2-3b-Q4_K_M.gguf")}\n`);
  });
  test("does nothing for a model that is here", async () => {
    await run(["pull", unpinned, "--mirror", server.base]);
    server.asked.length = 0;
    const { err } = await run(["pull", unpinned, "--mirror", server.base]);
    assert.match(err, /is here already/);
    assert.deepEqual(server.asked, []);
  });
  test("brings the shards that an index lists", async () => {
    const names = ["model-1.safetensors", "model-2.safetensors"];
    const index = Buffer.from(
      JSON.stringify({ weight_map: { a: names[0], b: names[1], c: names[0] } }),
    );
    server.content = index; // the server has one content for every path
    const { code, out } = await run(["pull", "ring-mini-linear-2.0", "--mirror", server.base]);
    assert.equal(code, 0);
    const folder = out.trimEnd();
    assert.equal(folder, join(directory, "ring-mini-linear-2.0-bf16"));
    for (const name of ["config.json", "tokenizer.json", ...names]) {
      assert.deepEqual(readFileSync(join(folder, name)), index);
    }
    assert.ok(isThere(choose("ring-mini-linear-2.0"), directory));
  });
  test("is not done before the last shard", async () => {
    server.content = Buffer.from(JSON.stringify({ weight_map: { a: "one", b: "two" } }));
    const whole = (s: FileServer, ...rest: Parameters<FileServer["send"]>) => s.send(...rest);
    server.faults = [whole, whole, whole, whole, answers(404)];
    await check(
      ["pull", "ling-coder-lite", "--mirror", server.base],
      "DOWNLOAD_FAILED",
      /two answered 404/,
    );
    assert.ok(existsSync(join(directory, "ling-coder-lite-bf16", "one")));
    assert.equal(isThere(choose("ling-coder-lite"), directory), false);
  });
  test("takes no index that lists nothing", async () => {
    server.content = randomBytes(1000);
    await check(
      ["pull", "ling-coder-lite", "--mirror", server.base],
      "MODEL_CORRUPT",
      /lists no weights/,
    );
  });
  test("refuses what is not the file of the catalogue", () =>
    check(["pull", "qwen3-0.6b", "--mirror", server.base], "MODEL_CORRUPT", /not 639446688/));
  test("stops at Ctrl+C, and says how to go on", async () => {
    const controller = new AbortController();
    server.faults = [stallsAfter(1000)];
    setTimeout(() => controller.abort(), 300);
    const { signal } = controller;
    const stopped = await run(["pull", unpinned, "--mirror", server.base], { signal });
    assert.equal(stopped.code, 130);
    assert.match(stopped.err, /Stopped\. What came is kept: `ringside pull starcoder2-3b` goes on/);
    server.asked.length = 0;
    await run(["pull", "starcoder2-3b", "--mirror", server.base]);
    assert.deepEqual(server.asked, ["1000-"]);
  });
  test("writes one line again and again on a terminal", async () => {
    const { err } = await run(["pull", unpinned, "--mirror", server.base], { live: true });
    assert.ok(err.includes("\r\x1b[K100 % "));
    assert.ok(!err.split("Set ")[0]!.split("Nobody ")[0]!.includes("\n"));
  });
  test("says of a model for chat that it is one", async () => {
    const { err } = await run(["pull", "deepseek-coder-1.3b-instruct", "--mirror", server.base]);
    assert.match(
      err,
      /^DeepSeek-Coder 1\.3B Instruct: Answers questions; .* take the base model\.$/m,
    );
  });
  test("says what is wrong with its arguments", async () => {
    await check(["pull"], "BAD_REQUEST", /Usage:/);
    await check(["pull", "a", "b"], "BAD_REQUEST", /Usage:/);
    await check(["models", "x"], "BAD_REQUEST", /Usage:/);
    await check(["pull", "x", "--nonsense"], "BAD_REQUEST", /--nonsense/);
    await check(["pull", "no-such-model"], "MODEL_NOT_FOUND", /no model "no-such-model"/);
    await check(["pull", "ringside-small"], "BAD_REQUEST", /comes with Ringside/);
    await check(["pull", unpinned, "--mirror", "models.example"], "BAD_REQUEST", /https address/);
    const secret = "https://me:secret@models.example";
    await assert.rejects(run(["pull", unpinned, "--mirror", secret]), (error: Error) => {
      assert.ok(!error.message.includes("secret"));
      return true;
    });
  });
  test("says how far it is, as far as that is known", () => {
    const progress = { phase: "downloading", file: "f", bytes: 5e8, bytesPerSecond: 1e7 } as const;
    assert.equal(
      progressLine({ ...progress, total: 2e9, secondsLeft: 150 }),
      "25 %  500 MB of 2.0 GB  10 MB/s  3 min left  f",
    );
    assert.equal(
      progressLine({ ...progress, total: null, secondsLeft: null }),
      "500 MB  10 MB/s  f",
    );
    const checking = { ...progress, phase: "checking", total: 2e9, secondsLeft: null } as const;
    assert.equal(progressLine(checking), "checking what is here: 500 MB  f");
  });
});
