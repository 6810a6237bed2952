import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { namesNear } from "../../../server/context/names";

/** The names near the bar in `source`, and that each stands where it is said to. */
function check(source: string, expected: string[]) {
  const offset = source.indexOf("|");
  const text = source.slice(0, offset) + source.slice(offset + 1);
  const found = namesNear(text, offset);
  assert.deepEqual(
    found.map(({ name }) => name),
    expected,
  );
  for (const { name, offset: at } of found)
    assert.ok(text.startsWith(name, at), `${name} at ${at}`);
}

const filler = "    x\n".repeat(20);

suite("names near a cursor", () => {
  test("are those before it from the nearest on, then those behind it", () =>
    check("first(second, third|)\nfourth\n", ["third", "second", "first", "fourth"]));
  test("are each one once, where it stands nearest", () => {
    const text = "abc def abc ";
    assert.deepEqual(namesNear(text, text.length), [
      { name: "abc", offset: 8 },
      { name: "def", offset: 4 },
    ]);
  });
  test("are those of enclosing blocks too, however far", () =>
    check(`class Outer:\n  def inner(self):\n${filler}    here|\n`, [
      "here",
      "def",
      "inner",
      "self",
      "class",
      "Outer",
    ]));
  test("are of any alphabet", () => check("größe = длина + |", ["длина", "größe"]));
  test("are none in an empty text", () => check("|", []));
  test("stand where they are said to behind a long text", () =>
    check(`${"unrelated = 1\n".repeat(900)}nearest(|`, ["nearest", "unrelated"]));
  test("are looked for in no more of a long line", () => {
    const text = `early${" ".repeat(15_000)}name${" ".repeat(7_000)}`;
    assert.deepEqual(namesNear(text, text.length), [{ name: "name", offset: 15_005 }]);
    const whole = `early${" ".repeat(10_000)}`; // less than twice the characters: the line's start counts
    assert.deepEqual(namesNear(whole, whole.length), [{ name: "early", offset: 0 }]);
  });
  test("are forty-eight at most", () => {
    const text = Array.from({ length: 100 }, (_, i) => `name${i}`).join(" ");
    assert.equal(namesNear(text, text.length).length, 48);
  });
});
