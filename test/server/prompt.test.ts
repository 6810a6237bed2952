import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { buildPrompt, type Snippet } from "../../server/prompt";
import { lines } from "../../server/window";
import { at, read, vocabulary } from "./support";

const promptOf = (source: string, budget: number, snippets: readonly Snippet[] = []) =>
  read(buildPrompt(at(source), snippets, { tokens: budget }, vocabulary).tokens);

function check(source: string, budget: number, snippets: readonly Snippet[], expected: string) {
  assert.equal(promptOf(source, budget, snippets), expected);
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}\n`).join("");
const prefixOf = (prompt: string) => /<prefix>([\s\S]*)<middle>/.exec(prompt)![1]!;

function commonPrefix(a: string, b: string): number {
  let same = 0;
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same++;
  return same;
}

suite("prompt", () => {
  test("stands suffix before prefix, behind the file's path", () =>
    check("a(|);", 100, [], "<sep>src/a.ts\n<suffix>);<prefix>a(<middle>"));
  test("puts other files first", () =>
    check(
      "a|",
      200,
      [{ source: "tab", path: "b.ts", text: "b\n" }],
      "<sep>b.ts\nb\n<sep>src/a.ts\n<suffix><prefix>a<middle>",
    ));
  test("leaves out a snippet that does not fit, and keeps a smaller one", () =>
    check(
      "a|",
      100,
      [
        { source: "tab", path: "big.ts", text: "b".repeat(50) },
        { source: "tab", path: "c.ts", text: "c" },
      ],
      "<sep>c.ts\nc<sep>src/a.ts\n<suffix><prefix>a<middle>",
    ));
  test("gives features to the last token alone", () => {
    const { tokens, featuresFrom } = buildPrompt(at("a|b"), [], { tokens: 100 }, vocabulary);
    assert.equal(tokens[featuresFrom], vocabulary.fim!.middle);
    assert.equal(featuresFrom, tokens.length - 1);
  });
  test("keeps the end of the prefix and the start of the suffix", () => {
    const prompt = promptOf(`${numbered(200)}here |\n${numbered(200)}`, 1000);
    assert.match(prompt, /line 199\nhere <middle>$/);
    assert.match(prompt, /<suffix>\nline 0\nline 1\n/);
  });
  test("moves the prefix's start once in a block of lines, not with each", () => {
    const base = numbered(300);
    const starts = Array.from({ length: 64 }, (_, typed) =>
      prefixOf(promptOf(`${base}${"let a;\n".repeat(typed)}|`, 1000)).slice(0, 12),
    );
    assert.match(starts[0]!, /^\nline \d+\n/);
    assert.ok(new Set(starts).size <= 3, `${new Set(starts).size} starts`);
  });
  test("reads all but the last token again after one typed character", () => {
    for (const base of [numbered(10), numbered(300), "x".repeat(9000)]) {
      const before = promptOf(`${base}abc|\n${numbered(40)}`, 1000);
      const after = promptOf(`${base}abcd|\n${numbered(40)}`, 1000);
      const same = commonPrefix(before, after);
      assert.equal(same, before.length - "<middle>".length);
    }
  });
  test("cuts a very long line at a place that moves in steps", () => {
    const starts = [9000, 9001, 9050].map((size) => {
      const digits = Array.from({ length: size }, (_, i) => i % 10).join("");
      return prefixOf(promptOf(`${digits}|`, 9000)).length - size;
    });
    assert.equal(new Set(starts).size, 1);
    assert.ok(starts[0]! < 0);
  });
  test("fits a very long path", () => {
    const cursor = { ...at("a|b"), path: `${"p".repeat(500)}/a.ts` };
    const { tokens } = buildPrompt(cursor, [], { tokens: 64 }, vocabulary);
    assert.ok(tokens.length <= 64);
    assert.match(read(tokens), /^<sep>p+\/a\.ts\n<suffix>b<prefix>a<middle>$/);
  });
  test("splits in lines that join to the text", () =>
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", " ", "\n", "\r") }), (text) => {
        assert.equal(lines(text).join(""), text);
      }),
    ));
  test("never exceeds the budget, whatever stands there", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "{", " ", "\n", "é"), maxLength: 400 });
    const long = fc.tuple(text, fc.nat(20)).map(([part, times]) => part.repeat(times));
    const snippet = fc.record({ source: fc.constant("tab" as const), path: fc.string(), text });
    fc.assert(
      fc.property(
        long,
        long,
        fc.array(snippet, { maxLength: 3 }),
        fc.integer({ min: 64, max: 3000 }),
        (prefix, suffix, snippets, budget) => {
          const cursor = { ...at("|"), prefix, suffix };
          const { tokens } = buildPrompt(cursor, snippets, { tokens: budget }, vocabulary);
          assert.ok(tokens.length <= budget);
          assert.ok(prefix.endsWith(prefixOf(read(tokens))));
        },
      ),
      { numRuns: 60 },
    );
  });
});
