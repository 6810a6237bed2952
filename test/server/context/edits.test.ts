import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { RecentEdits } from "../../../server/context/edits";

const none: ReadonlySet<string> = new Set();

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `line${i}`);
const uri = "file:///p/a.ts";

/** The ranges that are shown after a document has had each of `texts` in turn. */
function check(texts: readonly (readonly string[])[], expected: readonly string[]) {
  const edits = new RecentEdits(() => 0);
  for (const [version, lines] of texts.entries()) {
    edits.changed({ uri, languageId: "typescript", version, text: lines.join("\n") });
  }
  const shown = edits
    .candidates("file:///p/other.ts", none)
    .map(({ range }) => `${range!.start}-${range!.end}`);
  assert.deepEqual(shown, expected);
}

function replaced(lines: readonly string[], at: number, ...by: string[]): string[] {
  return lines.toSpliced(at, 1, ...by);
}

suite("recent edits", () => {
  const base = numbered(100);
  test("shows a changed line with what is around it", () =>
    check([base, replaced(base, 50, "x")], ["47-54"]));
  test("shows nothing of a document that was only opened", () => check([base], []));
  test("merges edits that are near, and shows the last first", () => {
    const one = replaced(base, 50, "x");
    check([base, one, replaced(one, 56, "y")], ["47-60"]);
    check([base, one, replaced(one, 70, "y")], ["67-74", "47-54"]);
  });
  test("moves with lines that are added and removed before", () => {
    const one = replaced(base, 50, "x");
    check([base, one, replaced(one, 5, "a", "b", "c")], ["2-11", "49-56"]);
    check([base, one, one.toSpliced(4, 3)], ["1-8", "44-51"]);
  });
  test("keeps six", () => {
    const texts = [base];
    for (let at = 5; at < 95; at += 12) texts.push(replaced(texts.at(-1)!, at, `x${at}`));
    assert.equal(texts.length, 9);
    check(texts, ["86-93", "74-81", "62-69", "50-57", "38-45", "26-33"]);
  });
  test("shows no more than 24 lines of one edit", () =>
    check([base, [...base, ...numbered(60)]], ["96-120"]));
  test("forgets after ten minutes, and shows none of the file itself", () => {
    let now = 0;
    const edits = new RecentEdits(() => now);
    for (const text of ["a\n", "b\n"]) edits.changed({ uri, languageId: "c", version: 1, text });
    assert.equal(edits.candidates("file:///p/other.ts", none).length, 1);
    assert.equal(edits.candidates(uri, none).length, 0);
    now = 11 * 60_000;
    assert.equal(edits.candidates("file:///p/other.ts", none).length, 0);
  });
  test("shows the line that was changed last, whatever was changed before", () => {
    const change = fc.record({ at: fc.nat(30), remove: fc.nat(3), add: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
        const edits = new RecentEdits(() => 0);
        let lines = numbered(40);
        const open = (version: number) =>
          edits.changed({ uri, languageId: "c", version, text: lines.join("\n") });
        open(0);
        for (const [i, { at, remove, add }] of changes.entries()) {
          const fresh = Array.from({ length: add + 1 }, (_, k) => `new${i}.${k}`);
          lines = lines.toSpliced(Math.min(at, lines.length), remove, ...fresh);
          open(i + 1);
          const [last] = edits.candidates("other", none);
          assert.ok(last!.text.includes(`new${i}.0`), last!.text);
          assert.ok(
            last!.text
              .trim()
              .split("\n")
              .every((line) => lines.includes(line)),
          );
        }
      }),
    );
  });
});
