import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Fim, fimOf } from "../../server/fim";
import { buildPrompt, type Snippet, type Vocabulary } from "../../server/prompt";
import { at } from "./support";

const none = {
  fimPrefix: null,
  fimSuffix: null,
  fimMiddle: null,
  fimRepository: null,
  fimSeparator: null,
};

function known(names: readonly string[], family = "qwen2") {
  const specialTokens = Object.fromEntries(names.map((name, id) => [name, 100_000 + id]));
  return { family, specialTokens, named: none };
}

/** The prompt as text, special tokens by name; `<s>` where the model starts with one. */
function promptOf(
  names: readonly string[],
  source: string,
  snippets: readonly Snippet[],
  { bos = false, family = "qwen2", rereadTokens = 1000 } = {},
): string {
  const all = ["<s>", ...names];
  const vocabulary: Vocabulary = {
    encode: (text) => Array.from(text.split(""), (unit) => unit.charCodeAt(0)),
    count: (line) => line.length,
    bos: bos ? 100_000 : null,
    fim: fimOf(known(all, family)),
  };
  const { tokens } = buildPrompt(at(source), snippets, { tokens: 900, rereadTokens }, vocabulary);
  return Array.from(tokens, (id) => all[id - 100_000] ?? String.fromCharCode(id)).join("");
}

const other: Snippet = { source: "tab", path: "b.ts", text: "let b;\n" };
const qwen = [
  "<|fim_prefix|>",
  "<|fim_suffix|>",
  "<|fim_middle|>",
  "<|repo_name|>",
  "<|file_sep|>",
];
const starcoder = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"];
const deepseek = ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"];

function check(
  names: readonly string[],
  snippets: readonly Snippet[],
  expected: string,
  options = {},
) {
  assert.equal(promptOf(names, "f(|);", snippets, options), expected);
}

suite("prompts by family", () => {
  test("Qwen, one file", () => check(qwen, [], "<|fim_prefix|>f(<|fim_suffix|>);<|fim_middle|>"));
  test("Qwen, a repository", () =>
    check(
      qwen,
      [other],
      "<|repo_name|>workspace\n<|file_sep|>b.ts\nlet b;\n<|file_sep|>src/a.ts\n" +
        "<|fim_prefix|>f(<|fim_suffix|>);<|fim_middle|>",
    ));
  test("StarCoder, one file", () =>
    check(starcoder, [], "<fim_prefix>f(<fim_suffix>);<fim_middle>"));
  test("StarCoder, a repository, the path behind the prefix's token", () =>
    check(
      starcoder,
      [other],
      "<repo_name>workspace\n<file_sep>b.ts\nlet b;\n<file_sep><fim_prefix>src/a.ts\n" +
        "f(<fim_suffix>);<fim_middle>",
    ));
  test("DeepSeek starts with its token, and takes one file", () =>
    check(deepseek, [other], "<s><｜fim▁begin｜>f(<｜fim▁hole｜>);<｜fim▁end｜>", { bos: true }));
  test("Code Llama", () =>
    check(["▁<PRE>", "▁<SUF>", "▁<MID>"], [], "<s>▁<PRE>f(▁<SUF>);▁<MID>", { bos: true }));
  test("Codestral, the suffix first and no token for the middle", () =>
    check(["[PREFIX]", "[SUFFIX]", "[MIDDLE]"], [], "<s>[SUFFIX]);[PREFIX]f(", { bos: true }));
  test("Granite Code, which has StarCoder's tokens for one file alone", () =>
    check(
      ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
      [other],
      "<fim_prefix>f(<fim_suffix>);<fim_middle>",
    ));
  test("our own, the suffix first", () =>
    check(
      qwen,
      [other],
      "<|file_sep|>b.ts\nlet b;\n<|file_sep|>src/a.ts\n<|fim_suffix|>);<|fim_prefix|>f(<|fim_middle|>",
      { family: "ringside" },
    ));
  test("without tokens for it, by going on", () => check([], [other], "f("));

  test("gives the suffix no more than may be read again with each key", () => {
    const long = "x;\n".repeat(200);
    const psm = promptOf(qwen, `f(|${long}`, [], { rereadTokens: 20 });
    assert.ok(/<\|fim_suffix\|>([^<]*)</.exec(psm)![1]!.length <= 20);
    const spm = promptOf(qwen, `f(|${long}`, [], { rereadTokens: 20, family: "ringside" });
    assert.ok(/<\|fim_suffix\|>([^<]*)</.exec(spm)![1]!.length > 20);
  });
});

suite("fim", () => {
  const layoutOf = (fim: Fim | null) => fim?.layout;
  test("needs all the tokens of a row", () =>
    assert.equal(fimOf(known(["<|fim_prefix|>", "<|fim_suffix|>"])), null));
  test("tells Qwen from Granite by the tokens of files", () => {
    assert.equal(layoutOf(fimOf(known(qwen))), "qwen");
    assert.equal(layoutOf(fimOf(known(qwen.slice(0, 3)))), "granite");
    assert.equal(layoutOf(fimOf(known(starcoder))), "starcoder");
  });
  test("takes what the file names where no row knows the tokens", () => {
    const named = { ...none, fimPrefix: 7, fimSuffix: 8, fimMiddle: 9 };
    const fim = fimOf({ family: "llama", specialTokens: { "<odd>": 7 }, named })!;
    assert.deepEqual([fim.prefix, fim.suffix, fim.middle, fim.file], [7, 8, 9, null]);
  });
});
