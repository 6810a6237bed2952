// The engine through its addon, as the server calls it:
// node --import tsx --test test/native/addon.test.ts
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type * as Native from "../../native";

const native: typeof Native = require("../../native/index.js");
const tiny = join(__dirname, "../fixtures/native/tiny");
const scratch = mkdtempSync(join(tmpdir(), "ringside-addon-"));
after(() => rmSync(scratch, { recursive: true }));

const load = (options?: Native.LoadOptions) => native.Engine.load(tiny, options);
const text = "def check(value):\n    return value + 12\n";

/** Reads a thousand tokens first, which takes far longer than the cancel that a test sends. */
function generateLong(engine: Native.Engine) {
  const tokens = engine.encode(text.repeat(80)).subarray(0, 1000);
  return engine.generate({ tokens, maxTokens: 20 });
}

async function checkLoadFails(folder: string, code: string, message: RegExp) {
  await assert.rejects(native.Engine.load(folder), (error: Error & { code?: string }) => {
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

/** A copy of the tiny model that `damage` has changed. */
function damaged(name: string, damage: (folder: string) => void): string {
  const folder = join(scratch, name);
  cpSync(tiny, folder, { recursive: true });
  damage(folder);
  return folder;
}

suite("engine addon", () => {
  test("says what it loaded", async () => {
    const shares: number[] = [];
    const { info } = await native.Engine.load(tiny, { threads: 1 }, (share) => shares.push(share));
    assert.equal(info.name, "tiny");
    assert.equal(info.family, "ringside");
    assert.equal(info.threads, 1);
    assert.equal(info.vocabularySize, 320);
    assert.equal(info.contextTokens, 1024);
    assert.ok(info.activeParameters < info.parameters);
    assert.equal(info.activeExpertShare, (2 + 1) / (8 + 1)); // top-2 of 8, and one shared
    assert.deepEqual(info.syntaxFeatures.length, 5);
    assert.equal(info.specialTokens["<|fim_middle|>"], 3);
    assert.ok(native.availableBackends().includes(info.backend));
    assert.equal(shares.at(-1), 1);
    assert.throws(() => Object.assign(info, { name: "x" }));
  });

  test("refuses folders with a code and a message", async () => {
    await checkLoadFails(join(scratch, "nowhere"), "MODEL_NOT_FOUND", /nowhere/);
    const cut = damaged("cut", (folder) => truncateSync(join(folder, "model.safetensors"), 1000));
    await checkLoadFails(cut, "MODEL_CORRUPT", /safetensors.*export the model again/i);
    const other = damaged("other", (folder) =>
      writeFileSync(join(folder, "config.json"), '{"model_type": "mamba"}'),
    );
    await checkLoadFails(other, "MODEL_UNSUPPORTED", /"mamba".*RingsideForCausalLM/);
    const text = damaged("text", (folder) => writeFileSync(join(folder, "tokenizer.json"), "{"));
    await checkLoadFails(text, "MODEL_CORRUPT", /tokenizer\.json/);
  });

  test("encodes and decodes, and text never becomes special tokens", async () => {
    const engine = await load();
    for (const text of ["", "a b\n", "<|fim_middle|>", "naïve 🙂\u0000", "\ud800"]) {
      const tokens = engine.encode(text);
      assert.ok(tokens.every((token) => token >= 5));
      assert.equal(engine.decode(tokens), text.replace("\ud800", "\ufffd"));
    }
    assert.equal(engine.decode(new Uint32Array([0, 1, 2, 3, 4, 99_999])), "");
  });

  test("generates the same text each time, and hears it grow", async () => {
    const engine = await load();
    const tokens = engine.encode(text);
    let heard = "";
    const first = await engine.generate({ tokens, maxTokens: 16 }, (text) => {
      heard += text;
    }).done;
    assert.equal(heard, first.text);
    assert.equal(first.readTokens, tokens.length);
    const again = await engine.generate({ tokens, maxTokens: 16 }).done;
    assert.equal(again.text, first.text);
    assert.equal(again.readTokens, 1);
    assert.equal(first.tokens.length, first.logProbabilities.length);
    assert.ok(first.logProbabilities.every((value) => value <= 0));
    assert.equal(engine.decode(first.tokens), first.text);
    assert.ok(first.readMs > 0);
    assert.equal(again.reusedTokens, tokens.length - 1);
  });

  test("guesses ahead where it may, and writes the same", async () => {
    const engine = await load();
    const tokens = engine.encode(text.repeat(4));
    const request = { tokens, maxTokens: 100, ends: Uint32Array.of(0) };
    const drafted = await engine.generate({ ...request, draft: true }).done;
    const alone = await engine.generate({ ...request, draft: false }).done;
    // Among others a token is summed in another order, and what is rounded differently may turn a near
    // tie: what differs first was as likely. In float32 nothing differs: test/native/draft_test.cpp.
    const differs = drafted.tokens.findIndex((token, i) => token !== alone.tokens[i]);
    const same = differs === -1 ? alone.tokens.length : differs + 1;
    for (let i = 0; i < same; i++) {
      const change = drafted.logProbabilities[i]! - alone.logProbabilities[i]!;
      assert.ok(Math.abs(change) < 0.05, `token ${i}: ${change}`); // 0.016 seen, AVX-512
    }
    assert.ok(drafted.guessedTokens > 0);
    assert.ok(drafted.rightGuesses <= drafted.guessedTokens);
    assert.deepEqual([alone.guessedTokens, alone.rightGuesses], [0, 0]);
    assert.equal((await engine.generate(request).done).guessedTokens, 0); // too small to gain by it
  });

  test("takes features from a position on", async () => {
    const engine = await load();
    const tokens = engine.encode(text);
    const ask = (features: number[]) => {
      const request = {
        tokens,
        maxTokens: 8,
        featuresFrom: 5,
        features: new Uint32Array(features),
      };
      return engine.generate(request).done;
    };
    await ask([0, 3]);
    assert.equal((await ask([3, 0])).readTokens, 1);
    assert.equal((await ask([1])).reusedTokens, 5);
  });

  test("cancels what runs and what waits", async () => {
    const engine = await load();
    const running = generateLong(engine);
    const waiting = generateLong(engine);
    waiting.cancel();
    await new Promise((resolve) => setTimeout(resolve, 1));
    running.cancel();
    const ended = await running.done;
    assert.equal(ended.stop, "cancelled");
    assert.ok(ended.readTokens < 1000);
    const { stop, tokens: generated } = await waiting.done;
    assert.deepEqual([stop, generated.length], ["cancelled", 0]);
    running.cancel(); // once more, after the end
  });

  test("rejects bad requests with a code, and goes on", async () => {
    const engine = await load({ contextTokens: 64 });
    const tokens = engine.encode("x");
    const bad: [unknown, RegExp][] = [
      [undefined, /object/],
      [{ maxTokens: 1 }, /tokens must be a Uint32Array/],
      [{ tokens: [1], maxTokens: 1 }, /Uint32Array/],
      [{ tokens }, /maxTokens/],
      [{ tokens, maxTokens: -1 }, /maxTokens/],
      [{ tokens, maxTokens: 1.5 }, /maxTokens/],
      [{ tokens, maxTokens: 1, temperature: Number.NaN }, /temperature/],
      [{ tokens, maxTokens: 1, topP: 0 }, /topP/],
      [{ tokens, maxTokens: 1, featuresFrom: 0, features: new Uint32Array([9]) }, /feature 9/],
      [{ tokens, maxTokens: 1, behindFrom: 1, behindTo: 0 }, /behindFrom and behindTo/],
      [{ tokens, maxTokens: 1, behindTo: 65 }, /behindFrom and behindTo/],
      [{ tokens: new Uint32Array(0), maxTokens: 1 }, /empty/],
      [{ tokens: new Uint32Array(65), maxTokens: 1 }, /65 tokens.*64/],
      [{ tokens: new Uint32Array([4_000_000_000]), maxTokens: 1 }, /4000000000/],
    ];
    for (const [request, message] of bad) {
      const { done } = engine.generate(request as Native.GenerateRequest);
      await assert.rejects(done, { code: "BAD_REQUEST", message });
    }
    assert.equal((await engine.generate({ tokens, maxTokens: 1 }).done).tokens.length, 1);
  });

  test("stops when the context is full", async () => {
    const engine = await load({ contextTokens: 32 });
    const tokens = engine.encode("x");
    const results = [];
    for (let seed = 0; seed < 10; seed++) {
      results.push(await engine.generate({ tokens, maxTokens: 99, temperature: 1, seed }).done);
    }
    assert.ok(results.some(({ stop }) => stop === "contextFull"));
    assert.deepEqual(
      results.filter(({ stop }) => stop === "contextFull").map((r) => r.tokens.length)[0],
      32,
    );
  });

  test("scores each token after the first", async () => {
    const engine = await load();
    const tokens = engine.encode(text);
    const scores = await engine.score(tokens);
    assert.equal(scores.length, tokens.length - 1);
    assert.ok(scores.every((score) => score < 0));
    const featured = await engine.score(tokens, 5, new Uint32Array([1, 2]));
    assert.deepEqual(featured.subarray(0, 4), scores.subarray(0, 4));
    assert.notDeepEqual(featured, scores);
    await assert.rejects(engine.score(new Uint32Array([320])), { code: "BAD_REQUEST" });
  });

  test("forgets on reset", async () => {
    const engine = await load();
    const tokens = engine.encode(text);
    await engine.generate({ tokens, maxTokens: 1 }).done;
    engine.reset();
    assert.equal((await engine.generate({ tokens, maxTokens: 1 }).done).reusedTokens, 0);
  });

  test("closes in the middle of a generation", async () => {
    const engine = await load();
    const running = generateLong(engine);
    const scored = engine.score(engine.encode(text));
    engine.close();
    assert.equal((await running.done).stop, "cancelled");
    await assert.rejects(scored, { code: "BAD_REQUEST" });
    assert.throws(() => engine.encode("x"), { code: "BAD_REQUEST" });
    assert.throws(() => engine.generate({ tokens: new Uint32Array([7]), maxTokens: 1 }));
    engine.close();
  });

  test("frees the model on close, whoever still has a generation", async (context) => {
    if (process.platform !== "linux") return context.skip("only Linux tells what is mapped");
    const mapped = () => readFileSync("/proc/self/maps", "utf8").includes(own);
    const own = damaged("own", () => {});
    const engine = await native.Engine.load(own);
    const generation = engine.generate({ tokens: engine.encode(text), maxTokens: 1 });
    await generation.done;
    assert.ok(mapped());
    engine.close();
    for (let i = 0; mapped() && i < 100; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(!mapped());
    generation.cancel();
  });

  test("holds no listener of a request that was never begun", async () => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    const engine = await load();
    let collected = 0;
    const registry = new FinalizationRegistry(() => collected++);
    const begin = (request: Native.GenerateRequest) => {
      const onText = () => {};
      registry.register(onText, null);
      return engine.generate(request, onText);
    };
    const throws = {
      get tokens(): Uint32Array {
        throw new Error("a getter's");
      },
    };
    for (let i = 0; i < 100; i++) {
      assert.throws(() => begin(throws as unknown as Native.GenerateRequest), /a getter's/);
      await assert.rejects(begin({ tokens: new Uint32Array(), maxTokens: -1 }).done);
    }
    for (let i = 0; i < 50 && collected < 190; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(collected >= 190, `${collected} of 200 listeners were freed`);
    engine.close();
  });

  test("is made by load() alone", () => {
    assert.throws(() => Reflect.construct(native.Engine, []), /Engine\.load/);
  });

  test("lets the process end: idle, in the middle, and in a thread that is stopped", () => {
    const script = `
      const { Engine } = require(${JSON.stringify(join(__dirname, "../../native/index.js"))});
      const { Worker, isMainThread, parentPort } = require("node:worker_threads");
      const mode = process.argv.at(-1);
      async function begin() {
        const engine = await Engine.load(${JSON.stringify(tiny)});
        const tokens = engine.encode("def check");
        await engine.generate({ tokens, maxTokens: 1 }).done;
        if (mode === "idle") return;
        if (mode === "unheard") {
          for (let i = 0; i < 8; i++) engine.generate({ tokens, maxTokens: 1 });
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // so that nothing is delivered
        }
        engine.generate({ tokens, maxTokens: 1e6, temperature: 3 }, () => {
          if (mode === "exit") process.exit(0);
        });
      }
      begin();`;
    const thread = `
      const { Worker } = require("node:worker_threads");
      const argv = process.argv.slice(1);
      const worker = new Worker(${JSON.stringify(script)}, { eval: true, argv });
      setTimeout(() => worker.terminate().then(() => process.exit(0)), 300);`;
    for (const [source, mode] of [
      [script, "idle"],
      [script, "exit"],
      [thread, "thread"],
      [thread, "unheard"],
    ] as const) {
      const run = spawnSync(process.execPath, ["-e", source, mode], { timeout: 20_000 });
      assert.equal(run.status, 0, `${mode}: ${run.signal ?? ""} ${run.stderr}`);
    }
  });

  test("says so where the system starts no thread for it", (context) => {
    if (process.platform !== "linux") return context.skip("only Linux has prlimit");
    const script = `
      const { Engine } = require(${JSON.stringify(join(__dirname, "../../native/index.js"))});
      const { spawnSync } = require("node:child_process");
      const { readFileSync } = require("node:fs");
      async function begin() {
        const load = () => Engine.load(${JSON.stringify(tiny)}, { threads: 1 });
        (await load()).close();
        const [, size] = /VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
        const most = size * 1024 + 7e6; // a thread's stack takes 8 MB
        spawnSync("prlimit", ["--pid", String(process.pid), "--as=" + most]);
        const waits = setTimeout(() => console.log("waits for ever"), 5000);
        await load().then(
          () => console.log("loaded"),
          ({ code, message }) => console.log(code, message),
        );
        clearTimeout(waits);
      }
      begin();`;
    const run = spawnSync(process.execPath, ["-e", script], { timeout: 20_000 });
    assert.match(String(run.stdout), /^OUT_OF_MEMORY The system starts no thread/, `${run.stderr}`);
  });

  test("lets a thread be stopped while it loads", () => {
    const script = `
      const { Engine } = require(${JSON.stringify(join(__dirname, "../../native/index.js"))});
      for (let i = 0; i < 4; i++) Engine.load(${JSON.stringify(tiny)}, {}, () => {});
      require("node:worker_threads").parentPort.postMessage("loads");`;
    const threads = `
      const { Worker } = require("node:worker_threads");
      async function begin() {
        for (let i = 0; i < 12; i++) {
          const worker = new Worker(${JSON.stringify(script)}, { eval: true });
          await new Promise((resolve) => worker.once("message", resolve));
          await new Promise((resolve) => setTimeout(resolve, i % 4));
          await worker.terminate();
        }
      }
      begin();`;
    const run = spawnSync(process.execPath, ["-e", threads], { timeout: 60_000 });
    assert.equal(run.status, 0, `${run.signal ?? ""} ${run.stderr}`);
  });
});
