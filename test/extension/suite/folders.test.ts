import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import * as vscode from "vscode";
import { api, nothingToAccept, ready, trigger, type, until } from "./editor";

/** The folder `name` of the workspace, which has two. */
function folder(name: string): vscode.Uri {
  const found = vscode.workspace.workspaceFolders?.find((each) => each.name === name);
  assert.ok(found !== undefined, `no folder ${name}`);
  return found.uri;
}

/** Opens a file there, the cursor behind `text`, which is put at its end. */
async function openIn(name: string, path: string, text: string): Promise<vscode.TextEditor> {
  const uri = vscode.Uri.joinPath(folder(name), path);
  const editor = await vscode.window.showTextDocument(uri);
  const end = editor.document.positionAt(editor.document.getText().length);
  await editor.edit((edit) => edit.insert(end, text));
  const after = editor.document.positionAt(editor.document.getText().length);
  editor.selection = new vscode.Selection(after, after);
  return editor;
}

suite("a workspace of several folders", () => {
  suiteSetup(ready);
  teardown(async () => {
    await vscode.commands.executeCommand("workbench.action.files.revert");
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });

  test("shows in one what another defines", async () => {
    const editor = await openIn(
      "shop",
      "cart.ts",
      "\nconst size = measureParcel(2, 3);\nconst s = ",
    );
    const { why } = await api();
    const reason = await until("the other folder's file among the prompt's parts", async () => {
      await type("s"); // another place each time: what is known is not asked about again
      await new Promise((done) => setTimeout(done, 500));
      const text = await why(editor.document.uri);
      return /ruler\.ts/.test(text) ? text : null;
    });
    assert.match(reason, /defines what is named here \| `[^`]*tools\/ruler\.ts`/);
  });

  test("heeds what git ignores in each", async () => {
    const editor = await openIn("tools", "generated/table.ts", "export const row = ");
    await type("t");
    await trigger();
    assert.ok(await nothingToAccept(editor, 1000));
    const { why } = await api();
    assert.match(await why(editor.document.uri), /ignored by git \(generated\/ in /);
  });

  test("heeds what one of them excludes in its own settings", async () => {
    const settings = vscode.workspace.getConfiguration("ringside", folder("tools"));
    const { WorkspaceFolder } = vscode.ConfigurationTarget;
    await settings.update("excludedFiles", ["own.ts"], WorkspaceFolder);
    const { why } = await api();
    /** Waits until what is said of own.ts in the folder `name` is as `expected`. */
    const waitFor = async (name: string, expected: RegExp) => {
      const uri = vscode.Uri.joinPath(folder(name), "own.ts");
      await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode("export const row = "));
      await openIn(name, "own.ts", "1 + ");
      await until(`${expected} of ${name}`, async () => {
        await type("1"); // the settings may not have come yet
        await trigger();
        await new Promise((done) => setTimeout(done, 300));
        return expected.test(await why(uri)) ? true : null;
      });
    };
    try {
      await waitFor("tools", /excluded by the setting "excludedFiles" \(own\.ts\)/);
      await waitFor("shop", /What the model was shown/);
    } finally {
      await settings.update("excludedFiles", undefined, WorkspaceFolder);
    }
  });

  test("follows a folder that is renamed, and forgets one that is removed", async () => {
    const tools = folder("tools");
    const [one, other] = ["lengths", "widths"].map((name) => vscode.Uri.joinPath(tools, name));
    const file = vscode.Uri.joinPath(one!, "metre.ts");
    const text = new TextEncoder().encode("export function metresOf(feet: number): number {}\n");
    await vscode.workspace.fs.writeFile(file, text);
    const { why } = await api();
    /** Waits until the definition is found at `path`; null: nowhere. */
    const isAt = (path: string | null) =>
      until(`metresOf to be at ${path}`, async () => {
        // Far enough from where the last one was for all that is shown to be chosen anew.
        const { document } = await openIn("shop", "cart.ts", `${"\n".repeat(32)}metresO`);
        await type("f");
        await new Promise((done) => setTimeout(done, 500));
        const [, found = null] = /`([^`]*metre\.ts)`/.exec(await why(document.uri)) ?? [];
        return found === path ? true : null;
      });
    await isAt("tools/lengths/metre.ts");
    // As a terminal does it: of what is in a folder nobody says anything.
    renameSync(one!.fsPath, other!.fsPath);
    await isAt("tools/widths/metre.ts");
    rmSync(other!.fsPath, { recursive: true });
    await isAt(null);
  });
});
