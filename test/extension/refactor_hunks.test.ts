import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { hunkAt, hunksBetween, withHunk } from "../../extension/refactor/hunks";

/** The hunks between two texts, each as `lines taken @ line: lines put`. */
function check(before: string, after: string, ...expected: string[]) {
  const found = hunksBetween(before, after);
  const told = found.map(({ beforeLine, start, end, text }) => {
    const shown = (part: string) => part.replaceAll("\n", "/").replaceAll("\r", "~");
    return `${shown(before.slice(start, end))}@${beforeLine}:${shown(text)}`;
  });
  assert.deepEqual(told, expected);
}

suite("hunks", () => {
  test("are none between equal texts", () => check("a\nb\n", "a\nb\n"));
  test("are what stands in place of something", () =>
    check("a\nb\nc\n", "a\nx\ny\nc\n", "b/@1:x/y/"));
  test("are what is added, and what is taken away", () => {
    check("a\nb\n", "a\nx\nb\n", "@1:x/");
    check("a\nx\nb\n", "a\nb\n", "x/@1:");
    check("", "a", "@0:a");
    check("a\n", "", "a/@0:");
  });
  test("are several, in order", () => check("a\nb\nc\nd\n", "x\nb\nc\ny\n", "a/@0:x/", "d/@3:y/"));
  test("keep Windows line breaks", () => check("a\r\nb\r\n", "a\r\nc\r\n", "b~/@1:c~/"));
  test("reach to the end of a file without a last line break", () =>
    check("a\nb", "a\nc", "b@1:c"));
  test("are found by a line of either side", () => {
    const [first, second] = hunksBetween("a\nb\nc\nd\n", "x\ny\nb\nd\n"); // a → x y, c → nothing
    const hunks = [first!, second!];
    assert.equal(hunkAt(hunks, 0, "before"), first);
    assert.equal(hunkAt(hunks, 1, "after"), first);
    assert.equal(hunkAt(hunks, 1, "before"), undefined);
    assert.equal(hunkAt(hunks, 2, "before"), second);
    assert.equal(hunkAt(hunks, 2, "after"), second); // the line above what is gone
    assert.equal(hunkAt(hunks, 3, "after"), second); // and the one below
    assert.equal(hunkAt([], 0, "after"), undefined);
  });

  const text = fc
    .tuple(
      fc.array(fc.constantFrom("a", "b", "", "é😀", "\tc"), { maxLength: 12 }),
      fc.constantFrom("\n", "\r\n"),
      fc.boolean(),
    )
    .map(([lines, br, ends]) => lines.join(br) + (ends ? br : ""));
  const places = fc.array(fc.nat(1000), { minLength: 24, maxLength: 24 });
  test("give the whole proposal in whatever order they are applied", () =>
    fc.assert(
      fc.property(text, text, places, (before, after, chosen) => {
        let now = before;
        for (const place of chosen) {
          const hunks = hunksBetween(now, after);
          if (hunks.length === 0) break;
          now = withHunk(now, hunks[place % hunks.length]!);
          assert.equal(hunksBetween(now, after).length, hunks.length - 1);
        }
        assert.equal(now, after);
      }),
    ));
  test("are right too where they are found in one piece", () => {
    // So much differs that the search for the least difference is given up.
    const many = (name: string) =>
      Array.from({ length: 40_000 }, (_, i) => `${name}${(i * 7919) % 40_009}\n`).join("");
    const before = `top\n${many("a")}same\n${many("b")}end\n`;
    const after = `top\n${many("c")}same\n${many("d")}end\n`;
    const start = performance.now();
    const hunks = hunksBetween(before, after);
    assert.ok(performance.now() - start < 5000);
    assert.equal(hunks.reduceRight(withHunk, before), after);
    assert.equal(hunks[0]!.beforeLine, 1);
  });
});
