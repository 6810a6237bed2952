import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import * as vscode from "vscode";
import {
  accept,
  api,
  longProposal,
  nothingToAccept,
  open,
  ready,
  shownAfter,
  trigger,
  type,
  until,
} from "./editor";

const commit = "editor.action.inlineSuggest.commit";
const python = `def add(a, b):
    return a + b


def subtract(a, b):
    |
`;
const typescript = `export function add(a: number, b: number): number {
  return a + b;
}

export function subtract(a: number, b: number): number {
  |
}
`;

/** Runs `body` with a setting of Ringside's changed for the user. */
async function withSetting(name: string, value: unknown, body: () => Promise<void>): Promise<void> {
  const settings = vscode.workspace.getConfiguration("ringside");
  const before = settings.inspect(name)?.globalValue;
  await settings.update(name, value, vscode.ConfigurationTarget.Global);
  try {
    await body();
  } finally {
    await settings.update(name, before, vscode.ConfigurationTarget.Global);
  }
}

suite("manners of completions", () => {
  suiteSetup(ready);
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("what the model is unsure of is held back, and shown to who asks", () =>
    withSetting("eagerness", "low", async () => {
      const source = "qzx wvu = |\n"; // no model is half sure of what comes here
      const editor = await open("ts", source);
      await type("k");
      assert.ok(await nothingToAccept(editor, 1500));
      await trigger();
      assert.notEqual((await accept(editor, commit)).trim(), "");
    }));

  test("alternatives can be cycled through", async () => {
    // The same place twice: its first proposal, and the one that the next key leads to.
    const first = await shownAfter("ts", typescript, "return ");
    const editor = await open("ts", typescript);
    await type("return ");
    await trigger();
    await new Promise((done) => setTimeout(done, 3000)); // the alternatives are written meanwhile
    await vscode.commands.executeCommand("editor.action.inlineSuggest.showNext");
    await new Promise((done) => setTimeout(done, 300));
    const second = await accept(editor, commit);
    assert.notEqual(second, first);
  });

  test("nothing is proposed in comments where told so", () =>
    withSetting("silentIn", ["comment"], async () => {
      const editor = await open("ts", `// Adds the two |\n${typescript.replace("|", "")}`);
      await type("num");
      assert.ok(await nothingToAccept(editor, 1500));
      assert.notEqual(await shownAfter("ts", typescript, "return "), "");
    }));

  test("a cell of a notebook is completed by the cells before it", async () => {
    const path = join(tmpdir(), `ringside-${process.pid}.ipynb`);
    const cell = (lines: string[]) => ({
      ...{ cell_type: "code", metadata: {}, outputs: [], execution_count: null },
      source: lines,
    });
    const notebook = {
      cells: [
        cell(["def add(a, b):\n", "    return a + b\n"]),
        cell(["def subtract(a, b):\n", "    "]),
      ],
      metadata: { language_info: { name: "python" } },
      ...{ nbformat: 4, nbformat_minor: 5 },
    };
    writeFileSync(path, JSON.stringify(notebook));
    const document = await vscode.workspace.openNotebookDocument(vscode.Uri.file(path));
    await vscode.window.showNotebookDocument(document);
    const second = document.cellAt(1).document;
    const editor = await vscode.window.showTextDocument(second);
    const end = second.positionAt(second.getText().length);
    editor.selection = new vscode.Selection(end, end);
    const items = await until("a proposal in the cell", async () => {
      // Typed once the cell takes keys; then the model is asked again until it has an answer.
      if (second.getText().endsWith("return ")) await trigger();
      else await type("return ");
      const { why } = await api();
      const text = await why(second.uri);
      return text.includes("What the model was shown") ? text : null;
    });
    // What stands before the cursor has the first cell in it: more tokens than the second one has.
    const before = /What stands before the cursor \| [^|]*\| (\d+) \|/.exec(items);
    assert.ok(Number(before?.[1]) > 14, items);
  });

  test("positions behind characters beyond the basic plane are right", async () => {
    const editor = await open("py", `names = ["😀😀", "ß", "漢字"]\n${python}`);
    await type("return ");
    const inserted = await accept(editor, commit);
    const line = editor.document.lineAt(editor.selection.active.line).text;
    assert.ok(editor.document.getText().includes(`    return ${inserted.split("\n")[0]}`), line);
    assert.equal(editor.document.lineAt(0).text, 'names = ["😀😀", "ß", "漢字"]');
  });

  test("a completion on a line with such characters lands behind them", async () => {
    const editor = await open("py", 'total = len("😀😀😀") + |\n');
    await type("le");
    const inserted = await accept(editor, commit);
    const [first] = editor.document.getText().split(/\r?\n/);
    assert.ok(first!.startsWith(`total = len("😀😀😀") + le${inserted.split("\n")[0]}`), first);
  });

  test("a line of 100,000 characters gets completions, and no wait", async () => {
    const long = `const data = [${"1234567, ".repeat(11_000)}];\n`;
    const editor = await open("ts", `${long}${typescript}`);
    await type("return ");
    const start = Date.now();
    assert.notEqual((await accept(editor, commit)).trim(), "");
    assert.ok(Date.now() - start < 10_000);
  });

  test("a file indented with tabs is completed with tabs", async () => {
    const source = typescript.replaceAll("  ", "\t");
    const editor = await open("ts", source);
    await type("if (a < b) {");
    await type("\n");
    const inserted = await accept(editor, commit);
    assert.doesNotMatch(inserted, /^ {2}/m);
  });

  test("the list of suggestions is gone along with, and keeps its keys", async () => {
    const item = new vscode.CompletionItem("subtractEverything");
    const provider = vscode.languages.registerCompletionItemProvider("typescript", {
      provideCompletionItems: () => [item],
    });
    try {
      const editor = await open("ts", typescript.replace("|", "return |"));
      await type("sub");
      await vscode.commands.executeCommand("editor.action.triggerSuggest");
      const { why } = await api();
      const reason = await until("a proposal with the list open", async () => {
        await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
        const text = await why(editor.document.uri);
        return text.includes("subtractEverything") ? text : null;
      });
      assert.match(reason, /The list of suggestions has `subtractEverything` selected/);
      await vscode.commands.executeCommand("acceptSelectedSuggestion");
      assert.ok(editor.document.getText().includes("return subtractEverything\n"));
    } finally {
      provider.dispose();
    }
  });

  test("the page of reasons opens beside the code", async () => {
    const editor = await open("ts", typescript);
    await type("return ");
    await accept(editor, commit);
    await vscode.commands.executeCommand("ringside.why");
    await until("the page", () =>
      vscode.window.tabGroups.all
        .flatMap(({ tabs }) => tabs)
        .find(({ label }) => /Why this suggestion/.test(label)),
    );
  });

  test("the statistics count what was accepted", async () => {
    const { statistics } = await api();
    // One character could as well have been typed, and is not counted.
    const { typed } = await longProposal("ts", typescript, 2);
    const before = (await statistics()).total;
    const editor = await open("ts", typescript);
    await type(typed);
    const inserted = await accept(editor, commit);
    const after = (await statistics()).total;
    assert.equal(after.accepted, before.accepted + 1);
    assert.equal(after.acceptedCharacters, before.acceptedCharacters + inserted.length);
    assert.ok(after.shown > before.shown);
    await vscode.commands.executeCommand("ringside.statistics");
    await until("the page", () =>
      vscode.window.tabGroups.all
        .flatMap(({ tabs }) => tabs)
        .find(
          ({ label, input }) => label === "Ringside" && input instanceof vscode.TabInputWebview,
        ),
    );
  });
});
