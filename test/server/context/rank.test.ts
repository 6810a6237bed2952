import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import type { Candidate } from "../../../server/context/candidate";
import { fitting, fuse, sizeOf } from "../../../server/context/rank";

const at = (
  file: string,
  start: number,
  source: Candidate["source"] = "tab",
  text = `${file} ${start}, some text\n`,
): Candidate => ({
  source,
  file,
  path: file,
  range: { start, end: start + 10 },
  text,
});

/** The files and lines of the fused `rankings`, each of weight 1. */
function check(rankings: readonly (readonly Candidate[])[], expected: readonly string[]) {
  const fused = fuse(rankings.map((candidates) => ({ weight: 1, candidates })));
  assert.deepEqual(
    fused.map(({ candidate: { file, range } }) => `${file}:${range!.start}`),
    expected,
  );
}

const count = (line: string) => line.length;

suite("ranking of snippets", () => {
  test("puts what two sources name before what one does", () =>
    check(
      [
        [at("a", 0), at("b", 0)],
        [at("b", 3, "edit"), at("c", 0)],
      ],
      ["b:3", "a:0", "c:0"],
    ));
  test("keeps places of one file that do not overlap", () =>
    check([[at("a", 0), at("a", 10)]], ["a:0", "a:10"]));
  test("counts a source by its weight", () => {
    const [first] = fuse([
      { weight: 1, candidates: [at("a", 0)] },
      { weight: 2, candidates: [at("b", 0)] },
    ]);
    assert.equal(first!.candidate.file, "b");
  });
  test("leaves out what repeats the prompt or a better snippet", () => {
    const line = "const value = compute(input);\n";
    const ranked = fuse([
      { weight: 1, candidates: [at("a", 0, "tab", line), at("b", 0, "tab", line)] },
    ]);
    assert.equal(fitting(ranked, { tokens: 1000, count }, new Set()).length, 1);
    assert.equal(fitting(ranked, { tokens: 1000, count }, new Set([line.trim()])).length, 0);
  });
  test("never takes more than fits, and nothing twice", () => {
    const candidate = fc
      .tuple(fc.constantFrom("a", "b", "c"), fc.nat(40), fc.nat(60))
      .map(([file, start, size]) =>
        at(file, start, "tab", `${file}${start} ${"word ".repeat(size)}\n`),
      );
    fc.assert(
      fc.property(fc.array(fc.array(candidate), { maxLength: 4 }), fc.nat(500), (lists, tokens) => {
        const ranked = fuse(lists.map((candidates) => ({ weight: 1, candidates })));
        const chosen = fitting(ranked, { tokens, count }, new Set()).map((one) => one.candidate);
        assert.ok(chosen.reduce((sum, one) => sum + sizeOf(one, count), 0) <= tokens);
        assert.equal(new Set(chosen.map(({ text }) => text)).size, chosen.length);
        for (let i = 1; i < ranked.length; i++) assert.ok(ranked[i - 1]!.score >= ranked[i]!.score);
      }),
    );
  });
});
