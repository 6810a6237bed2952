import assert from "node:assert/strict";
import { join } from "node:path";
import * as vscode from "vscode";
import { api, ready, until } from "./editor";
import { answering } from "./refactoring";

const root = vscode.extensions.getExtension("ringside.ringside")!.extensionPath;
const gguf = join(root, "test", "fixtures", "native", "qwen2-tiny.gguf");

/** Chooses the row of the picker whose label matches, and gives `file` to who asks for one. */
async function choose(label: RegExp, file?: string): Promise<readonly { text: string }[]> {
  const window = vscode.window as unknown as Record<string, unknown>;
  const { showQuickPick, showOpenDialog } = window;
  window.showQuickPick = async (rows: readonly vscode.QuickPickItem[]) =>
    rows.find((row) => label.test(row.label));
  window.showOpenDialog = async () => (file === undefined ? undefined : [vscode.Uri.file(file)]);
  try {
    const { messages } = await answering(undefined, async () => {
      await vscode.commands.executeCommand("ringside.chooseModel");
    });
    return messages;
  } finally {
    Object.assign(window, { showQuickPick, showOpenDialog });
  }
}

suite("choosing a model", () => {
  suiteSetup(ready);
  const model = () => vscode.workspace.getConfiguration("ringside").get("model");

  test("of a file says what it is worth here, and of the bundled one goes back", async () => {
    const [verdict, ...more] = await choose(/A file/, gguf);
    assert.deepEqual(more, []);
    assert.match(verdict!.text, /is ready on CPU .*(Completes in about|Too slow)/);
    assert.equal(model(), gguf);
    const [bundled] = await choose(/^Ringside small$/);
    assert.match(bundled!.text, /^ringside-small is ready on /);
    assert.equal(model(), "");
  });

  test("changes nothing where none is chosen", async () => {
    assert.deepEqual(await choose(/no such row/), []);
    assert.deepEqual(await choose(/A folder/), []);
    assert.equal(model(), "");
    const ringside = await api();
    await until("the bundled model", () => (ringside.status.kind === "ready" ? true : null));
  });
});
