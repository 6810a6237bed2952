import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { ModelEngine } from "../../server/engine";
import { inspection } from "../../server/inspect";
import { selfTest } from "../../server/selftest";

const gguf = join(__dirname, "../fixtures/native/qwen2-tiny.gguf");
const bundled = join(__dirname, "../../models/ringside-small");
const wishes = { contextTokens: 2048, maxTokens: 48 };
const never = new AbortController().signal;

async function inspect(path: string): Promise<Record<string, string>> {
  const engine = await ModelEngine.load(path, { contextTokens: 1024 });
  const rows = inspection(engine.info, engine.vocabulary.fim);
  engine.close();
  return Object.fromEntries(rows);
}

suite("self-test", () => {
  test("measures both speeds, and forgets what it read", async () => {
    const engine = await ModelEngine.load(gguf, { contextTokens: 1024 });
    const { speeds, tuning, says } = await selfTest(engine, wishes, never);
    assert.ok(speeds.read > 0 && speeds.decode > 0);
    const prompt = { tokens: engine.encode("def f(", true), featuresFrom: 0 };
    const options = { maxTokens: 1, features: [], singleLine: false, until: () => null };
    assert.equal((await engine.generate(prompt, options, never)).reusedTokens, 0);
    assert.equal(typeof tuning.rereadTokens, "number"); // Qwen's suffix stands behind its prefix
    assert.equal(says.length, 1);
    engine.close();
  });
  test("says that a model can't fill in the middle", async () => {
    const engine = await ModelEngine.load(gguf, { contextTokens: 512 });
    const vocabulary = { ...engine.vocabulary, fim: null };
    const base: ModelEngine = Object.create(engine, { vocabulary: { value: vocabulary } });
    const { says } = await selfTest(base, wishes, never);
    assert.match(says[1]!, /was not trained to fill in the middle/);
    engine.close();
  });
  test("ends when another model is chosen", async () => {
    const engine = await ModelEngine.load(bundled, { backend: "reference", contextTokens: 512 });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(selfTest(engine, wishes, controller.signal), { name: "AbortError" });
    engine.close();
  });
});

suite("inspection", () => {
  test("tells what a GGUF model is", async () => {
    const rows = await inspect(gguf);
    assert.equal(rows.family, "qwen2, gguf");
    assert.equal(rows.parameters, "120 K, all of them for each token");
    assert.match(rows.weights!, /^Q8_0 127 kB, F32 2.3 kB$/);
    assert.equal(rows.context, "1024 of 4096 tokens");
    assert.match(rows.memory!, /^No memory limit: weights .* context of 1024 tokens/);
    assert.match(rows.middle!, /^yes: laid out as qwen \(prefix, suffix, middle; several files/);
    assert.match(rows.chat!, /^yes/);
  });
  test("tells what the bundled model is", async () => {
    const rows = await inspect(bundled);
    assert.equal(rows.parameters, "9.59 M, 5.41 M for each token, 19.0 % of the experts'");
    assert.match(rows.middle!, /^yes: laid out as ringside/);
    assert.match(rows.chat!, /^no/);
  });
});
