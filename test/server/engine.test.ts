import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { ModelEngine } from "../../server/engine";
import { buildPrompt } from "../../server/prompt";
import { heldBy } from "./support";

const bundled = join(__dirname, "../../models/ringside-small");
const never = new AbortController().signal;

/** Generates behind `text` on the slow backend, so that the text arrives in many parts; no token ends it. */
async function generate(text: string, until: (text: string) => string | null) {
  const engine = await ModelEngine.load(bundled, { backend: "reference", contextTokens: 512 });
  const tokens = engine.encode(text, true);
  const ends = Uint32Array.of(0xffffff);
  const options = { maxTokens: 12, features: [], singleLine: false, until, ends };
  const prompt = { tokens, featuresFrom: tokens.length };
  const generated = await engine.generate(prompt, options, never);
  engine.close();
  return generated;
}

suite("engine", () => {
  test("tells the whole text each time it has grown", async () => {
    const heard: string[] = [];
    const { text } = await generate("function add(a, b) {\n  return ", (whole) => {
      heard.push(whole);
      return null;
    });
    assert.ok(heard.length > 2, `heard ${heard.length} times`);
    heard.forEach((whole, i) => {
      assert.ok(text.startsWith(whole));
      assert.ok(i === 0 || whole.length > heard[i - 1]!.length);
    });
  });
  test("ends with what is kept of the whole text", async () => {
    const { text } = await generate("function add(a, b) {\n  return ", (whole) =>
      whole.length > 3 ? whole.slice(0, 3) : null,
    );
    assert.equal(text.length, 3);
  });
  test("tells tokens that are the text, also where characters are split among them", async () => {
    const engine = await ModelEngine.load(bundled, { contextTokens: 512 });
    const tokens = engine.encode('const names = ["中文", "日本語", "中文", "日本語", "', true);
    const prompt = { tokens, featuresFrom: tokens.length };
    const options = { maxTokens: 24, features: [], singleLine: false, until: () => null };
    const generated = await engine.generate(prompt, options, never);
    assert.match(generated.text, /[\u3000-\u9fff]/);
    assert.ok(generated.tokens.length < generated.generatedTokens); // a character has several
    const said = generated.tokens.map(({ text }) => text).join("");
    assert.ok(said.startsWith(generated.text), said);
    engine.close();
  });
  test("goes on behind special tokens if others end the text", async () => {
    const engine = await ModelEngine.load(bundled, { contextTokens: 512 });
    const fileSep = engine.vocabulary.fim!.file!;
    const tokens = Uint32Array.from([...engine.encode("a = b\n", true), fileSep]);
    const options = { maxTokens: 40, features: [], singleLine: false, until: () => null };
    const prompt = { tokens, featuresFrom: tokens.length };
    const { generatedTokens } = await engine.generate(
      prompt,
      { ...options, ends: Uint32Array.of(0xffffff) },
      never,
    );
    assert.equal(generatedTokens, 40);
    engine.close();
  });
  test("remembers the lines that were counted, and not the texts that they stood in", async () => {
    const engine = await ModelEngine.load(bundled, { contextTokens: 512 });
    const file = "const answer = 42;\n".repeat(10_000);
    const held = heldBy(() => {
      for (let i = 0; i < 256; i++) {
        // Another text with each key.
        const text = JSON.parse(JSON.stringify(`${file}const another = ${i}`)) as string;
        engine.vocabulary.count(text.slice(file.length));
      }
    });
    engine.close();
    assert.ok(held < 8e6, `${held} bytes`);
  });
  test("knows what stands behind the cursor", async () => {
    const engine = await ModelEngine.load(bundled, { contextTokens: 512 });
    const cursor = { prefix: "count = 0\ntotal", suffix: "\ntotal += weight * price\n" };
    const { parts, ...prompt } = buildPrompt(
      { ...cursor, path: "a.py", languageId: "python" },
      [],
      { tokens: 500 },
      engine.vocabulary,
    );
    const options = { maxTokens: 1, features: [], singleLine: true, until: () => null };
    const known = await engine.generate({ ...prompt, parts }, options, never);
    const unknown = await engine.generate(prompt, options, never);
    // The next line is not copied into the one before it.
    assert.notEqual(known.tokens[0]!.logProbability, unknown.tokens[0]!.logProbability);
    engine.close();
  });
  test("is aborted by who closes it", async () => {
    const engine = await ModelEngine.load(bundled, { contextTokens: 512 });
    const tokens = engine.encode("a = b\n", true);
    const options = { maxTokens: 400, features: [], singleLine: false };
    const waits = engine.generate(
      { tokens, featuresFrom: tokens.length },
      {
        ...options,
        until: () => {
          engine.close(); // while it writes
          return null;
        },
      },
      never,
    );
    await assert.rejects(waits, { name: "AbortError" });
  });
});
