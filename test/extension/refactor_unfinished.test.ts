import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { withRest } from "../../extension/refactor/unfinished";

const original = ["f() {", "  a();", "  b();", "}", "g();"].join("\n");

/** While `written` is there, and no more yet, this is shown in the place of `original`; lines are parted by /. */
function check(written: string, expected: string) {
  assert.equal(withRest(original, written.replaceAll("/", "\n")).replaceAll("\n", "/"), expected);
}

suite("code that is still being written", () => {
  test("is the old code before anything is written", () => check("", "f() {/  a();/  b();/}/g();"));
  test("is the old code as long as that is written again", () => {
    check("f() {/  a", "f() {/  a();/  b();/}/g();");
    check("f() {/  a();/", "f() {/  a();/  b();/}/g();");
  });
  test("has a new line before what it may replace", () =>
    check("f() {/  x();", "f() {/  x();/  a();/  b();/}/g();"));
  test("leaves out what was replaced once the old code goes on", () =>
    check("f() {/  x();/}/", "f() {/  x();/}/g();"));
  test("keeps what is added at the end", () =>
    check("f() {/  a();/  b();/}/g();/h();", "f() {/  a();/  b();/}/g();/h();"));

  const text = fc
    .array(fc.constantFrom("a", "b", "ab", ""), { minLength: 1, maxLength: 8 })
    .map((lines) => lines.join("\n"));
  test("starts with every whole line that is written, and ends as the old code does", () =>
    fc.assert(
      fc.property(text, text, (old, written) => {
        const shown = withRest(old, written);
        assert.ok(shown.startsWith(written.slice(0, written.lastIndexOf("\n") + 1)));
        const rest = shown.slice(written.lastIndexOf("\n") + 1);
        assert.ok(rest === "" || old.endsWith(rest) || rest.includes(written.split("\n").at(-1)!));
      }),
    ));
  test("never shows a change where the same is written again", () =>
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "ab"), { minLength: 1 }),
        fc.nat(20),
        (lines, size) => {
          const old = lines.join("\n");
          assert.equal(withRest(old, old.slice(0, size)), old);
        },
      ),
    ));
  test("takes no time for long code", () => {
    const long = Array.from({ length: 20_000 }, (_, i) => `line(${i});`).join("\n");
    const start = performance.now();
    assert.equal(withRest(long, long), long);
    assert.ok(performance.now() - start < 1000);
  });
});
