import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { fileOf } from "../../server/context/paths";
import { shortPath } from "../../server/document";
import { cellAt, programNamed, programOf } from "../../server/notebooks";

const notebook = { uri: "file:///p/src/n%20b.ipynb", version: 7 };

/** The program in `languageId` of cells given as `language: text`. */
function program(cells: readonly string[], languageId: string) {
  const documents = cells.map((cell, i) => {
    const [language = "", text = ""] = cell.split(": ");
    return { uri: `cell:${i}`, languageId: language, version: 1, text };
  });
  return programOf(notebook, documents, languageId);
}

/** Its text, with a bar where each cell starts. */
function check(cells: readonly string[], languageId: string, expected: string) {
  const { document, starts } = program(cells, languageId);
  const cuts = [...starts.values(), document.text.length];
  const parts = cuts.slice(0, -1).map((start, i) => document.text.slice(start, cuts[i + 1]));
  assert.equal(parts.map((part) => `|${part}`).join(""), expected);
}

suite("notebooks", () => {
  test("are their cells, one behind the other", () =>
    check(["python: a", "python: b", "python: c"], "python", "|a\n\n|b\n\n|c"));
  test("leave out cells of another language", () =>
    check(["markdown: # a", "python: b", "sql: c", "python: d"], "python", "|b\n\n|d"));
  test("are the cell alone where it is the only one", () => check(["python: a"], "python", "|a"));
  test("are empty in a language that they have no cell of", () => check(["python: a"], "sql", ""));
  test("are one file to a model, whichever cell it is", () => {
    const { document } = program(["python: a", "python: b"], "python");
    assert.equal(document.version, 7);
    assert.equal(shortPath(document.uri), "p/src/n b.ipynb");
    assert.equal(fileOf(document.uri), fileOf(notebook.uri));
    assert.notEqual(document.uri, program(["sql: a"], "sql").document.uri);
    assert.deepEqual(programNamed(document.uri), {
      ...{ notebook: notebook.uri, languageId: "python" },
    });
    assert.equal(programNamed("file:///a.ts"), null);
  });
  test("say which cell a place is in", () =>
    fc.assert(
      fc.property(fc.array(fc.constantFrom("", "a", "b\n")), fc.nat(), (texts, n) => {
        const all = program(
          texts.map((text) => `python: ${text}`),
          "python",
        );
        const offset = n % (all.document.text.length + 1);
        const uri = cellAt(all, offset);
        const starts = [...all.starts];
        const at = starts.findIndex(([cell]) => cell === uri);
        assert.equal(at === -1, texts.length === 0);
        if (at === -1) return;
        assert.ok(
          starts[at]![1] <= offset && offset < (starts[at + 1]?.[1] ?? Number.POSITIVE_INFINITY),
        );
      }),
    ));
});
