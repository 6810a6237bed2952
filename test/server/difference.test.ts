import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { differenceOf } from "../../server/difference";

function check(before: string, after: string, expected: [string, string]) {
  const { start, beforeEnd, afterEnd } = differenceOf(before, after);
  assert.deepEqual([before.slice(start, beforeEnd), after.slice(start, afterEnd)], expected);
}

suite("difference", () => {
  test("is what was put in", () => check("ab", "axb", ["", "x"]));
  test("is what was taken out", () => check("axb", "ab", ["x", ""]));
  test("is what was replaced", () => check("a1b", "a23b", ["1", "23"]));
  test("is nothing between equal texts", () => check("ab", "ab", ["", ""]));
  test("counts no character twice", () => check("aa", "aaa", ["", "a"]));
  test("makes the one of the other", () =>
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b") }), fc.string(), (before, after) => {
        const { start, beforeEnd, afterEnd } = differenceOf(before, after);
        const made =
          before.slice(0, start) + after.slice(start, afterEnd) + before.slice(beforeEnd);
        assert.equal(made, after);
      }),
    ));
  test("is as small in long texts as where characters are compared one by one", () => {
    const text = fc.array(fc.constantFrom("a".repeat(700), "ab".repeat(600), "a", "b"), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(text, text, fc.string({ maxLength: 3 }), (first, last, inserted) => {
        const before = first.join("") + last.join("");
        const after = first.join("") + inserted + last.join("");
        for (const [from, to] of [
          [before, after],
          [after, before],
        ] as const) {
          const shorter = Math.min(from.length, to.length);
          let start = 0;
          while (start < shorter && from[start] === to[start]) start++;
          let end = 0;
          while (end < shorter - start && from.at(-1 - end) === to.at(-1 - end)) end++;
          const expected = { start, beforeEnd: from.length - end, afterEnd: to.length - end };
          assert.deepEqual(differenceOf(from, to), expected);
        }
      }),
    );
  });
});
