import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { api, nothingToAccept, ready, shownAfter, trigger, type, until } from "./editor";

const folder = mkdtempSync(join(tmpdir(), "ringside-privacy-"));
const typescript = "export function twice(value: number): number {\n  |\n}\n";

/** Opens `name` with `text`, the cursor at its end. */
async function openAs(name: string, text: string): Promise<vscode.TextEditor> {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(path));
  const editor = await vscode.window.showTextDocument(document);
  const end = document.positionAt(text.length);
  editor.selection = new vscode.Selection(end, end);
  return editor;
}

/** Types into `name`, asks by key too: nothing may come, and the page of reasons says why. */
async function staysSilent(name: string, reason: RegExp): Promise<void> {
  const editor = await openAs(name, "export const TOKEN = ");
  await type("q");
  await trigger();
  assert.ok(await nothingToAccept(editor, 1200));
  const { why } = await api();
  assert.match(await why(editor.document.uri), reason);
}

suite("what no model is shown", () => {
  suiteSetup(ready);
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("files that hold secrets", () => staysSilent(".env.ts", /holds secrets/));
  test("which the status says", async () => {
    const ringside = await api();
    await staysSilent(".env.ts", /holds secrets/);
    assert.match(ringside.statusText, /circle-slash/);
  });

  test("files that the user excludes", async () => {
    const settings = vscode.workspace.getConfiguration("ringside");
    const { Global, Workspace } = vscode.ConfigurationTarget;
    await settings.update("excludedFiles", ["**/*.private.ts"], Global);
    await settings.update("excludedFiles", ["**/*.inner.ts"], Workspace); // adds, and takes nothing away
    try {
      await staysSilent("plan.private.ts", /excludedFiles/);
      await staysSilent("plan.inner.ts", /excludedFiles/);
      assert.notEqual(await shownAfter("ts", typescript, "return "), "");
    } finally {
      await settings.update("excludedFiles", undefined, Workspace);
      await settings.update("excludedFiles", undefined, Global);
    }
  });

  test("but definitions that the editor knows are, and said to be", async () => {
    const other = join(folder, "shapes.py");
    const declaration =
      "def area_of_polygon(points, holes):\n    return shoelace(points) - holes\n";
    writeFileSync(other, declaration);
    const provider = vscode.languages.registerDefinitionProvider("python", {
      provideDefinition: () =>
        new vscode.Location(vscode.Uri.file(other), new vscode.Position(0, 0)),
    });
    try {
      const editor = await openAs("drawing.py", "total = area_of_polygon(\n    corners,\n");
      const { why } = await api();
      const reason = await until("the definition among the prompt's parts", async () => {
        await type("p"); // another place each time: what is known is not asked about again
        await new Promise((done) => setTimeout(done, 800));
        const text = await why(editor.document.uri);
        return /shapes\.py/.test(text) ? text : null;
      });
      assert.match(reason, /Other code: defines what is used here \| `[^`]*shapes\.py`/);
    } finally {
      provider.dispose();
    }
  });
});
