import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { OpenDocument } from "../../server/document";
import { OpenDocuments, type OpenNotebook } from "../../server/opened";

const cell = (uri: string, languageId: string, text: string): OpenDocument => ({
  ...{ uri, languageId, version: 1, text },
});
const notebook: OpenNotebook = {
  ...{ uri: "file:///n.ipynb", version: 3 },
  cells: [{ document: "cell:1" }, { document: "cell:2" }, { document: "cell:3" }],
};
const documents = [
  cell("cell:1", "python", "a = 1"),
  cell("cell:2", "sql", "select"),
  cell("cell:3", "python", "b"),
  cell("file:///c.ts", "typescript", "c"),
  cell("file:///d.ts", "typescript", "d"),
];
const python = "file:///n.ipynb#python";
const sql = "file:///n.ipynb#sql";

/** All of them open, in an editor that has the notebook's cells as `cells`. */
function open({ cells } = notebook) {
  const now = { ...notebook, cells };
  return new OpenDocuments({
    document: (uri) => documents.find((document) => document.uri === uri),
    notebook: (uri) => (uri === notebook.uri ? now : undefined),
    notebookOf: (uri) => (uri.startsWith("cell:") ? now : undefined),
  });
}

suite("open documents", () => {
  test("are parts of themselves, and cells of their notebook", () => {
    const parts = documents.map((document) => {
      const { program, start } = open().partOf(document);
      return [program.uri, program.text, start];
    });
    assert.deepEqual(parts, [
      [python, "a = 1\n\nb", 0],
      [sql, "select", 0],
      [python, "a = 1\n\nb", 7],
      ["file:///c.ts", "c", 0],
      ["file:///d.ts", "d", 0],
    ]);
  });
  test("are themselves where the notebook has them no more", () => {
    const { program } = open({ ...notebook, cells: [] }).partOf(documents[0]!);
    assert.equal(program, documents[0]);
  });
  test("are found by a place in what they are parts of", () => {
    const at = (uri: string, offset: number) => {
      const part = open().partAt(uri, offset);
      return part && [part.document.uri, part.start];
    };
    assert.deepEqual(at(python, 3), ["cell:1", 0]);
    assert.deepEqual(at(python, 7), ["cell:3", 7]);
    assert.deepEqual(at(sql, 0), ["cell:2", 0]);
    assert.deepEqual(at("file:///c.ts", 0), ["file:///c.ts", 0]);
    assert.equal(at("file:///gone.ts", 0), null);
    assert.equal(at("file:///n.ipynb#rust", 0), null);
  });
  test("are shown beside one another, a notebook's cells once, the last seen first", () => {
    const opened = open();
    for (const { uri } of documents) opened.seen(uri);
    opened.seen("cell:1");
    opened.seen("cell:gone");
    const others = (uri: string) => opened.othersThan(uri).map((other) => other.uri);
    assert.deepEqual(others("file:///d.ts"), [python, "file:///c.ts", sql]);
    assert.deepEqual(others(python), ["file:///d.ts", "file:///c.ts", sql]);
    opened.closed("file:///c.ts");
    assert.deepEqual(others(python), ["file:///d.ts", sql]);
  });
  test("leave no program behind when their notebook is closed", () => {
    const opened = open();
    assert.deepEqual(
      opened.programsOf(notebook).map(({ uri }) => uri),
      [python, sql],
    );
    assert.deepEqual(opened.closedNotebook(notebook.uri), [python, sql]);
    assert.deepEqual(opened.closedNotebook(notebook.uri), []);
  });
});
