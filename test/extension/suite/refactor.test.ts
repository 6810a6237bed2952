// Refactoring with the bundled model, which completes and follows no instructions.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { open, ready, until } from "./editor";
import { answering, diffTabs, offeredAt, proposed, run, undo } from "./refactoring";

const body = "  throw new Error('to be written');\n";
const source = `export function add(a: number, b: number): number {
  return a + b;
}

export function subtract(a: number, b: number): number {
|${body}}

export function divide(a: number, b: number): number {
  return a / b;
}
`;
const before = source.replace("|", "");

/** Opens `text`, has its block rewritten, and waits until the proposal is shown. */
async function rewritten(text = source): Promise<vscode.TextEditor> {
  const editor = await open("ts", text);
  await run("ringside.rewriteBlock");
  await proposalOf(editor);
  return editor;
}

/** What is proposed, as it is shown, once that is not what the file says. */
function proposalOf({ document }: vscode.TextEditor): Promise<string> {
  return shown((text) => text !== document.getText());
}

const STILL_MS = 300;

/**
 * What is proposed, once it is `wanted` and stays: the editor shows what is written a little later than it
 * is, so that the end of a proposal that is done may be still to come.
 */
function shown(wanted: (text: string) => boolean): Promise<string> {
  let last: string | undefined;
  let since = 0;
  return until("a proposal", () => {
    const text = proposed()?.getText();
    if (text !== last) since = Date.now();
    last = text;
    return text !== undefined && wanted(text) && Date.now() - since > STILL_MS ? text : null;
  });
}

suite("refactoring in the editor", () => {
  suiteSetup(ready);
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("a model that follows no instructions is said to, and another one offered", async () => {
    await open("ts", source);
    const { messages } = await answering(undefined, () =>
      run("ringside.refactor", { instruction: "Use a loop." }),
    );
    assert.equal(messages.length, 1);
    assert.match(messages[0]!.text, /ringside-small follows no instructions/);
    assert.deepEqual(messages[0]!.buttons, ["Choose a Model", "Rewrite This Block"]);
    assert.deepEqual(diffTabs(), []);
  });

  test("what is offered instead rewrites the block", async () => {
    await open("ts", source);
    await answering("Rewrite This Block", () => run("ringside.refactor", { preset: "simplify" }));
    const proposal = await proposed.soon();
    assert.equal(proposal.languageId, "typescript");
  });

  test("a block is rewritten in a diff, the file left as it is", async () => {
    const editor = await rewritten();
    const [tab] = diffTabs();
    const { original, modified } = tab!.input as vscode.TabInputTextDiff;
    assert.equal(original.toString(), editor.document.uri.toString());
    assert.match(tab!.label, /case\.ts: Rewrite/);
    const text = (await vscode.workspace.openTextDocument(modified)).getText();
    const [head, tail] = before.split(body) as [string, string];
    assert.ok(text.startsWith(head) && text.endsWith(tail), text);
    assert.notEqual(text, before);
    assert.equal(editor.document.getText(), before);
    assert.ok(!editor.document.isDirty);
  });

  test("all is accepted in one step, which one undo takes back", async () => {
    const editor = await rewritten();
    const wanted = proposed()!.getText();
    await run("ringside.acceptRefactoring");
    assert.equal(editor.document.getText(), wanted);
    assert.deepEqual(diffTabs(), []);
    assert.equal(vscode.window.activeTextEditor?.document, editor.document);
    await undo();
    assert.equal(editor.document.getText(), before);
  });

  test("the change at the cursor is accepted alone, and the last one ends it", async () => {
    const editor = await rewritten();
    const wanted = proposed()!.getText();
    const line = before.slice(0, before.indexOf(body)).split("\n").length - 1;
    await run("ringside.acceptChange", { line });
    while (diffTabs().length > 0) {
      assert.notEqual(editor.document.getText(), before);
      await run("ringside.acceptChange", { line });
    }
    assert.equal(editor.document.getText(), wanted);
  });

  test("where there is no change, none is accepted", async () => {
    const editor = await rewritten();
    await run("ringside.acceptChange", { line: 0 });
    assert.equal(editor.document.getText(), before);
    assert.equal(diffTabs().length, 1);
  });

  test("a file that has changed since is not touched, and asked about again", async () => {
    const editor = await rewritten();
    const edit = new vscode.WorkspaceEdit();
    edit.insert(editor.document.uri, new vscode.Position(0, 0), "// new\n");
    await vscode.workspace.applyEdit(edit);
    const refused = await answering(undefined, () => run("ringside.acceptRefactoring"));
    assert.match(refused.messages[0]!.text, /case\.ts has changed since/);
    assert.deepEqual(refused.messages[0]!.buttons, ["Regenerate"]);
    assert.equal(editor.document.getText(), `// new\n${before}`);
    await answering("Regenerate", () => run("ringside.acceptRefactoring"));
    const again = await shown((text) => text.startsWith("// new\n") && !text.includes(body));
    await answering("Accept Anyway", () => run("ringside.acceptRefactoring"));
    assert.equal(editor.document.getText(), again);
  });

  test("discarding leaves nothing behind", async () => {
    const editor = await rewritten();
    await run("ringside.discardRefactoring");
    assert.deepEqual(diffTabs(), []);
    assert.equal(editor.document.getText(), before);
    await run("ringside.acceptRefactoring"); // there is none any more
    assert.equal(editor.document.getText(), before);
  });

  test("closing the diff discards it", async () => {
    const editor = await rewritten();
    await vscode.window.tabGroups.close(diffTabs());
    await run("ringside.acceptRefactoring");
    assert.equal(editor.document.getText(), before);
  });

  test("stopping ends it at once", async () => {
    const editor = await open("ts", source.replace(body, body.repeat(60)));
    let ended = false;
    const running = run("ringside.rewriteBlock").then(() => {
      ended = true;
    });
    while (!ended) await run("ringside.stopRefactoring");
    await running;
    assert.deepEqual(diffTabs(), []);
    assert.ok(!editor.document.isDirty);
  });

  test("a second one in the same file takes the first one's place", async () => {
    const editor = await rewritten();
    const start = editor.document.positionAt(before.indexOf("return a / b"));
    const { uri } = editor.document;
    await run("ringside.rewriteBlock", { uri, range: new vscode.Range(start, start) });
    assert.ok(diffTabs().length <= 1);
    const text = proposed()?.getText();
    assert.ok(text === undefined || text.includes(body));
  });

  test("a file with Windows line breaks keeps them", async () => {
    const editor = await rewritten(source.replaceAll("\n", "\r\n"));
    await answering("Accept Anyway", () => run("ringside.acceptRefactoring"));
    const text = editor.document.getText();
    assert.notEqual(text, before.replaceAll("\n", "\r\n"));
    assert.equal(text.replaceAll("\r\n", "").includes("\n"), false);
  });

  test("a file of 20,000 lines is changed in its place", async () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `export const value${i} = ${i};`);
    const many = lines.join("\n");
    const editor = await rewritten(`${many}\n${source}${many}\n`);
    await answering("Accept Anyway", () => run("ringside.acceptRefactoring"));
    const text = editor.document.getText();
    assert.ok(text.startsWith(`${many}\nexport function add`) && text.endsWith(`${many}\n`));
    assert.ok(!text.includes(body));
  });

  test("what the model can't do is not offered, and rewriting a block is", async () => {
    const editor = await open("ts", source);
    const wrong = new vscode.Range(5, 2, 5, 10);
    assert.deepEqual(await offeredAt(editor, wrong, wrong), ["Rewrite This Block with Ringside"]);
  });

  test("there is nothing to refactor where there is no code", async () => {
    await open("ts", "|");
    const { messages } = await answering(undefined, () => run("ringside.rewriteBlock"));
    assert.match(messages[0]!.text, /no code here/);
  });
});
