import assert from "node:assert/strict";
import * as vscode from "vscode";
import {
  accept,
  longProposal,
  nothingToAccept,
  open,
  ready,
  shownAfter,
  trigger,
  type,
} from "./editor";

const commit = "editor.action.inlineSuggest.commit";

// The embedded model has seen much code of this shape: what it says differs from model to model,
// that it says something does not.
const typescript = `export function add(a: number, b: number): number {
  return a + b;
}

export function subtract(a: number, b: number): number {
  |
}
`;
const python = `def add(a, b):
    return a + b


def subtract(a, b):
    |
`;

/** Types "return " at the cursor of `source`, and accepts what is shown. */
async function acceptsIn(extension: string, source: string): Promise<void> {
  const editor = await open(extension, source);
  await type("return ");
  const inserted = await accept(editor, commit);
  assert.notEqual(inserted.trim(), "");
  assert.ok(editor.document.getText().includes(`return ${inserted}`));
}

suite("completions in the editor", () => {
  suiteSetup(ready);
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("ghost text is shown in TypeScript and accepted", () => acceptsIn("ts", typescript));
  test("ghost text is shown in Python and accepted", () => acceptsIn("py", python));

  test("typing along what is shown keeps it", async () => {
    const { typed, shown } = await longProposal("ts", typescript, 3);
    // A bracket typed here would bring its own closing one, and with it another place.
    const settings = vscode.workspace.getConfiguration("editor");
    await settings.update("autoClosingBrackets", "never", vscode.ConfigurationTarget.Global);
    try {
      const editor = await open("ts", typescript);
      await type(`${typed}${shown.slice(0, 2)}`);
      assert.equal(await accept(editor, commit), shown.slice(2));
    } finally {
      await settings.update("autoClosingBrackets", undefined, vscode.ConfigurationTarget.Global);
    }
  });

  test("one word can be accepted", async () => {
    const shown = await shownAfter("ts", typescript, "return ");
    const editor = await open("ts", typescript);
    await type("return ");
    const word = await accept(editor, "editor.action.inlineSuggest.acceptNextWord");
    assert.ok(shown.startsWith(word) && word.length > 0, `${shown} does not start with ${word}`);
    assert.ok(word.trim().split(/\s+/).length === 1, `"${word}" is more than a word`);
  });

  test("one line can be accepted", async () => {
    const shown = await shownAfter("ts", typescript, "return ");
    const editor = await open("ts", typescript);
    await type("return ");
    const line = await accept(editor, "editor.action.inlineSuggest.acceptNextLine");
    assert.equal(line.trimEnd(), shown.split("\n")[0]);
  });

  test("what is dismissed can't be accepted", async () => {
    const editor = await open("ts", typescript);
    await type("return ");
    const before = editor.document.getText();
    await accept(editor, "editor.action.inlineSuggest.acceptNextWord"); // so ghost text is shown
    assert.notEqual(editor.document.getText(), before);
    // The command is Escape's: it works where the editor has the focus.
    await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
    await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
    const dismissed = editor.document.getText();
    await new Promise((done) => setTimeout(done, 800)); // for what might be shown again
    await vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextWord");
    assert.equal(editor.document.getText(), dismissed);
  });

  test("nothing is proposed in a language that is off", async () => {
    const settings = vscode.workspace.getConfiguration("ringside");
    await settings.update("disabledLanguages", ["python"], vscode.ConfigurationTarget.Global);
    try {
      const off = await open("py", python);
      await type("return ");
      await trigger();
      assert.ok(await nothingToAccept(off, 1500));
      assert.notEqual(await shownAfter("ts", typescript, "return "), "");
    } finally {
      await settings.update("disabledLanguages", undefined, vscode.ConfigurationTarget.Global);
    }
    assert.notEqual(await shownAfter("py", python, "return "), "");
  });

  test("a completion in the middle of a line stays on it", async () => {
    const source = "const total = [1, 2, 3].reduce((sum, value) => |, 0);\nconsole.log(total);\n";
    const editor = await open("ts", source);
    const inserted = await type("sum ").then(() => accept(editor, commit));
    assert.ok(!inserted.includes("\n"));
    assert.ok(editor.document.lineAt(0).text.endsWith(", 0);"));
  });

  test("nothing is proposed inside a word", async () => {
    const editor = await open("ts", "const val|ue = compute();\n");
    await trigger();
    assert.ok(await nothingToAccept(editor, 1000));
  });

  test("a file of 20,000 lines gets completions", async () => {
    const line = (i: number) => `export const value${i} = compute(${i}, "name${i}");\n`;
    const many = Array.from({ length: 20_000 }, (_, i) => line(i));
    many.splice(10_000, 0, "export const middle = |;\n");
    const editor = await open("ts", many.join(""));
    await type("compute(");
    const start = Date.now();
    assert.notEqual((await accept(editor, commit)).trim(), "");
    // A bound against work in proportion to the file on each key, not a measurement.
    assert.ok(Date.now() - start < 10_000);
  });

  test("a file with Windows line breaks gets completions", async () => {
    const editor = await open("ts", typescript.replace(/\n/g, "\r\n"));
    await type("return ");
    assert.notEqual((await accept(editor, commit)).trim(), "");
  });
});
