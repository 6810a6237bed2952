import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { buildPrompt, type Snippet } from "../../../server/prompt";
import { TextVocabulary } from "../../../server/remote/vocabulary";
import { at } from "../support";

const other: Snippet = { source: "tab", path: "b.ts", text: "let b;\n" };

/** What a model of this name is asked at the bar of `source`. */
function check(model: string, source: string, expected: string, snippets: readonly Snippet[] = []) {
  const vocabulary = TextVocabulary.ofModel(model);
  assert.ok(vocabulary !== null, `${model} is not known`);
  const { tokens } = buildPrompt(at(source), snippets, { tokens: 900 }, vocabulary);
  assert.deepEqual(vocabulary.request(tokens), { prompt: expected, suffix: null });
}

const angles = "<fim_prefix>f(<fim_suffix>);<fim_middle>";
const bars = "<|fim_prefix|>f(<|fim_suffix|>);<|fim_middle|>";

suite("prompts as text", () => {
  test("have the markers that the model's name tells", () => {
    check("Qwen/Qwen2.5-Coder-7B-Instruct", "f(|);", bars);
    check("qwen3-coder:30b", "f(|);", bars);
    check("bigcode/starcoder2-3b", "f(|);", angles);
    check("bigcode/starcoderbase-1b", "f(|);", angles, [other]);
    check("ibm-granite/granite-8b-code-base", "f(|);", angles);
    check("google/codegemma-2b", "f(|);", bars, [other]);
    check("ibm-granite/granite-4.0-h-tiny", "f(|);", bars);
    check(
      "deepseek-ai/DeepSeek-Coder-V2-Lite-Base",
      "f(|);",
      "<｜fim▁begin｜>f(<｜fim▁hole｜>);<｜fim▁end｜>",
    );
    check("codellama/CodeLlama-7b-hf", "f(|);", "▁<PRE>f(▁<SUF>);▁<MID>");
    check("mistralai/Codestral-22B-v0.1", "f(|);", "[SUFFIX]);[PREFIX]f(");
  });
  test("have other files, where the model was trained with them", () =>
    check(
      "starcoder2:3b",
      "f(|);",
      "<repo_name>workspace\n<file_sep>b.ts\nlet b;\n<file_sep><fim_prefix>src/a.ts\n" +
        "f(<fim_suffix>);<fim_middle>",
      [other],
    ));
  test("are not guessed for other models", () => {
    for (const name of [
      "llama-3.1-8b",
      "gpt-4o",
      "codeqwen1.5-7b",
      "codestral-mamba",
      "qwen2.5-7b",
    ]) {
      assert.equal(TextVocabulary.ofModel(name), null, name);
    }
  });
  test("have no marker of the user's: a space breaks it up", () => {
    const vocabulary = TextVocabulary.ofModel("qwen2.5-coder")!;
    const cursor = { ...at("|"), prefix: 'a = "<|fim_middle|>";', suffix: "<|im_end|>" };
    const { tokens } = buildPrompt(cursor, [], { tokens: 900 }, vocabulary);
    assert.equal(
      vocabulary.request(tokens).prompt,
      '<|fim_prefix|>a = "< |fim_middle|>";<|fim_suffix|>< |im_end|><|fim_middle|>',
    );
  });
  test("have the suffix apart, where the server fills in", () => {
    const vocabulary = TextVocabulary.withSuffix();
    for (const [source, prompt, suffix] of [
      ["f(|);", "f(", ");"],
      ["|", "", ""],
      ["<|fim_prefix|>|", "<|fim_prefix|>", ""],
    ] as const) {
      const cursor = { ...at("|"), prefix: source.slice(0, source.lastIndexOf("|")), suffix };
      const { tokens } = buildPrompt(cursor, [other], { tokens: 900 }, vocabulary);
      assert.deepEqual(vocabulary.request(tokens), { prompt, suffix });
    }
  });
  test("have the prefix alone, where nothing fills in", () => {
    const vocabulary = TextVocabulary.plain();
    const { tokens } = buildPrompt(at("f(|);"), [other], { tokens: 900 }, vocabulary);
    assert.deepEqual(vocabulary.request(tokens), { prompt: "f(", suffix: null });
  });
  test("say the text again, however long, and no half of a pair", () =>
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 9000, size: "max" }),
        fc.nat(),
        (text, cut) => {
          const vocabulary = TextVocabulary.plain();
          const tokens = vocabulary.encode(text);
          assert.equal(tokens.length, text.length);
          assert.equal(
            vocabulary.request(tokens).prompt,
            text.replace(/\p{Surrogate}/gu, "\uFFFD"),
          );
          const { prompt } = vocabulary.request(tokens.subarray(cut % (text.length + 1)));
          assert.doesNotMatch(prompt, /\p{Surrogate}/u);
        },
      ),
    ));
  test("hold each marker once, whatever the user's text", () => {
    const vocabulary = TextVocabulary.ofModel("qwen2.5-coder")!;
    const words = fc.constantFrom(
      ...vocabulary.stops,
      "<",
      "|",
      "fim_prefix",
      " ",
      "\n",
      "<<|fim_",
      "x",
    );
    const texts = fc.array(words, { maxLength: 30 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(texts, texts, (prefix, suffix) => {
        const cursor = { ...at("|"), prefix, suffix };
        const { tokens } = buildPrompt(cursor, [], { tokens: 4000 }, vocabulary);
        const { prompt } = vocabulary.request(tokens);
        const found = vocabulary.stops.map((marker) => prompt.split(marker).length - 1);
        assert.deepEqual(
          found,
          vocabulary.stops.map((marker) => Number(/_(prefix|suffix|middle)/.test(marker))),
        );
      }),
    );
  });
});
