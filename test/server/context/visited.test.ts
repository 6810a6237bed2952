import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { linesOf, textOf } from "../../../server/context/candidate";
import type { OpenDocument } from "../../../server/document";
import { VisitedPlaces } from "../../../server/context/visited";

const text = Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n");
const open = (name: string, languageId = "typescript"): OpenDocument => ({
  uri: `file:///p/${name}`,
  languageId,
  version: 1,
  text,
});

/** What is shown in other.ts after the cursor was at each of `visits`, as `name:line`. */
function check(visits: readonly string[], expected: readonly string[]) {
  const places = new VisitedPlaces();
  for (const visit of visits) {
    const [name, line] = visit.split(":");
    places.visit(open(name!), Number(line));
  }
  const other = open("other.ts");
  places.visit(other, 0);
  assert.deepEqual(
    places
      .candidates(other)
      .map(({ path, range }) => `${path.split("/").at(-1)} ${range!.start}-${range!.end}`),
    expected,
  );
}

suite("lines of a document", () => {
  test("are read as far as they are wanted", () =>
    assert.deepEqual(linesOf({ ...open("a.ts"), text: "a\r\nb\nc\nd" }, 3), ["a", "b", "c"]));
});

suite("lines shown of a document", () => {
  const shown = (lines: string[], start: number, end: number) => textOf(lines, { start, end });
  test("have no blank ones at either side", () =>
    assert.equal(shown(["a", " ", "  b", "c", "", "d"], 1, 5), "  b\nc\n"));
  test("do not end in the blanks of what is half written", () =>
    assert.equal(shown(["f() {", "  return ", "}\t"], 0, 3), "f() {\n  return\n}\n"));
});

suite("visited places", () => {
  test("are shown last first", () => check(["a.ts:20", "b.ts:50"], ["b.ts 40-61", "a.ts 10-31"]));
  test("are one where the cursor moved a little", () =>
    check(["a.ts:20", "a.ts:25"], ["a.ts 15-36"]));
  test("are several where it moved far", () =>
    check(["a.ts:20", "a.ts:80"], ["a.ts 70-91", "a.ts 10-31"]));
  test("are shown once, as they were last", () =>
    check(["a.ts:20", "b.ts:5", "a.ts:22"], ["a.ts 12-33", "b.ts 0-16"]));
  test("are none of the file itself", () => check(["other.ts:50"], []));
  test("are kept when their file is closed", () => {
    const places = new VisitedPlaces();
    places.visit(open("a.ts"), 3);
    places.closed("file:///p/a.ts");
    assert.equal(places.candidates(open("b.ts"))[0]!.text.split("\n")[0], "line 0");
  });
  test("are of the same language", () => {
    const places = new VisitedPlaces();
    places.visit(open("a.py", "python"), 3);
    places.visit(open("a.jsx", "javascriptreact"), 3);
    places.visit(open("b.ts"), 3);
    assert.equal(places.candidates(open("b.ts")).length, 1);
  });
  test("are sixteen at most", () => {
    const places = new VisitedPlaces();
    for (let i = 0; i < 40; i++) places.visit(open(`${i}.ts`), 3);
    assert.equal(places.candidates(open("b.ts")).length, 16);
  });
});
