import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { cellInNotebook } from "../../server/notebooks";

/** Cells as `language: text`, each version 1; the cell at `index` in its notebook, the start as a bar. */
function check(cells: string[], index: number, expected: string | null) {
  const documents = cells.map((cell, i) => {
    const [languageId = "", text = ""] = cell.split(": ");
    return { uri: `cell:${i}`, languageId, version: 1, text };
  });
  const found = cellInNotebook(`cell:${index}`, documents);
  const { text } = found?.document ?? { text: "" };
  const shown = found === null ? null : `${text.slice(0, found.start)}|${text.slice(found.start)}`;
  assert.equal(shown, expected);
}

suite("notebooks", () => {
  test("puts the cells before and behind around the cell", () =>
    check(["python: a", "python: b", "python: c"], 1, "a\n\n|b\n\nc"));
  test("leaves out cells of another language", () =>
    check(["markdown: # a", "python: b", "sql: c", "python: d"], 3, "b\n\n|d"));
  test("is the cell alone where it is the only one", () => check(["python: a"], 0, "|a"));
  test("knows no cell that is not there", () => check(["python: a"], 7, null));
  test("changes its version with any cell's", () => {
    const cell = (uri: string, version: number) => ({ uri, languageId: "r", version, text: "x" });
    const at = (version: number) =>
      cellInNotebook("a", [cell("a", 1), cell("b", version)])!.document.version;
    assert.notEqual(at(1), at(2));
  });
});
