// Refactoring by instruction, with an endpoint that speaks OpenAI's API and answers as a test has it.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { setTimeout as delay } from "node:timers/promises";
import { api, open, ready, until } from "./editor";
import { Endpoint } from "./endpoint";
import { answering, diffTabs, offeredAt, proposed, run, undo } from "./refactoring";

const f = "```";
const source = `export function total(prices: number[]): number {
  let sum = 0;
  for (const price of prices) |{
    sum += price;
  }
  return sum;
}

export const count = (prices: number[]) => prices.length;
`;
const before = source.replace("|", "");
const better = `export function total(prices: number[]): number {
  return prices.reduce((sum, price) => sum + price, 0);
}`;
const after = `${better}\n${before.slice(before.indexOf("\nexport const"))}`;

suite("refactoring by instruction", () => {
  const endpoint = new Endpoint();
  const settings = () => vscode.workspace.getConfiguration("ringside");
  const { Global } = vscode.ConfigurationTarget;

  suiteSetup(async () => {
    await ready();
    await settings().update("endpoint", await endpoint.start(), Global);
    const ringside = await api();
    await until("the endpoint", () => {
      const { status } = ringside;
      return status.kind === "ready" && status.model.includes("scripted") ? true : null;
    });
  });
  suiteTeardown(async () => {
    endpoint.stop();
    await settings().update("endpoint", undefined, Global);
    const ringside = await api();
    await until("the bundled model", () => {
      const { status } = ringside;
      return status.kind === "ready" && status.model === "ringside-small" ? true : null;
    });
  });
  setup(() => {
    endpoint.answer = `Here you are:\n\n${f}ts\n${better}\n${f}\n`;
    endpoint.stepMs = 0;
    endpoint.asked.length = 0;
  });
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  const use = (instruction = "Use reduce.") => run("ringside.refactor", { instruction });
  const shown = (text: string) =>
    until("the proposal", () => (proposed()?.getText() === text ? true : null));

  test("code that is wrong is offered to be fixed, and a selection to be refactored", async () => {
    const editor = await open("ts", source);
    const wrong = new vscode.Range(2, 2, 2, 10);
    const offered = await offeredAt(editor, wrong, wrong);
    assert.deepEqual(offered.sort(), ["Fix with Ringside", "Refactor with Ringside..."]);
    const elsewhere = await offeredAt(editor, new vscode.Range(0, 0, 0, 3), wrong);
    assert.deepEqual(elsewhere, ["Refactor with Ringside..."]);
  });

  test("the answer is proposed in the function's place, and accepted in one step", async () => {
    const editor = await open("ts", source);
    await use();
    await shown(after);
    assert.equal(editor.document.getText(), before);
    const told = endpoint.asked[0]!.messages.map(({ content }) => content).join("\n");
    assert.match(told, /Use reduce\./);
    assert.ok(told.includes(before.slice(0, before.indexOf("\n\nexport const"))));
    await run("ringside.acceptRefactoring");
    assert.equal(editor.document.getText(), after);
    await undo();
    assert.equal(editor.document.getText(), before);
  });

  test("it is shown while it is written, and the file is left alone", async () => {
    endpoint.stepMs = 30;
    let goOn = () => {};
    endpoint.until = new Promise((resolve) => {
      goOn = resolve;
    });
    const editor = await open("ts", source);
    const running = use();
    const part = await until("a part", () => {
      const text = proposed()?.getText();
      return text?.includes("return prices.") && text !== after ? text : null;
    });
    assert.ok(part.includes("return sum;")); // what is not written again yet is there still
    assert.equal(editor.document.getText(), before);
    goOn();
    await running;
    await shown(after);
  });

  test("it is stopped at any token, down to the connection", async () => {
    endpoint.answer += "x\n".repeat(10_000);
    endpoint.stepMs = 20;
    const editor = await open("ts", source);
    const running = use();
    await proposed.soon();
    const start = Date.now();
    await run("ringside.stopRefactoring");
    await running;
    assert.ok(Date.now() - start < 2000);
    assert.deepEqual(diffTabs(), []);
    assert.equal(editor.document.getText(), before);
  });

  test("changes are accepted one by one", async () => {
    endpoint.answer = `${f}\n${before.replace("let sum", "let total").replace("return sum", "return total")}\n${f}`;
    const editor = await open("ts", source);
    editor.selection = new vscode.Selection(0, 0, 8, 1);
    await use("Rename sum to total where it is declared and returned.");
    await proposed.soon();
    await run("ringside.acceptChange", { line: 5 });
    assert.equal(editor.document.getText(), before.replace("return sum", "return total"));
    assert.equal(diffTabs().length, 1);
    await run("ringside.acceptChange", { line: 1 });
    assert.equal(diffTabs().length, 0);
  });

  test("regenerating asks for another answer", async () => {
    await open("ts", source);
    await use();
    endpoint.answer = `${f}\n${better.replace("prices.reduce", "[...prices].reduce")}\n${f}`;
    await run("ringside.regenerate");
    await shown(after.replace("prices.reduce", "[...prices].reduce"));
    assert.equal(endpoint.asked.length, 2);
    assert.notEqual(endpoint.asked[1]!.seed, endpoint.asked[0]!.seed);
  });

  test("what is stopped while it is regenerated leaves the proposal before", async () => {
    await open("ts", source);
    await use();
    await shown(after);
    endpoint.stepMs = 100;
    const again = run("ringside.regenerate");
    await until("the second request", () => (endpoint.asked.length === 2 ? true : null));
    await run("ringside.stopRefactoring");
    await again;
    await shown(after);
  });

  test("what breaks the syntax is warned of before it is accepted", async () => {
    endpoint.answer = `${f}\n${better.replace("0);", "0;")}\n${f}`;
    const editor = await open("ts", source);
    await use();
    const { messages } = await answering(undefined, () => run("ringside.acceptRefactoring"));
    assert.match(messages[0]!.text, /breaks the syntax of case\.ts/);
    assert.equal(editor.document.getText(), before);
    await answering("Accept Anyway", () => run("ringside.acceptRefactoring"));
    assert.ok(editor.document.getText().includes("sum + price, 0;"));
  });

  test("an answer without code is told", async () => {
    endpoint.answer = "I can't do that for you.";
    await open("ts", source);
    const { messages } = await answering(undefined, () => use());
    assert.match(messages[0]!.text, /wrote no code, but: I can't do that/);
    assert.deepEqual(diffTabs(), []);
  });

  test("problems are told to the model", async () => {
    const editor = await open("ts", source);
    const problems = vscode.languages.createDiagnosticCollection("test");
    const place = new vscode.Range(3, 4, 3, 7);
    problems.set(editor.document.uri, [new vscode.Diagnostic(place, "This is slow.")]);
    try {
      await run("ringside.refactor", { preset: "fix" });
      const told = endpoint.asked[0]!.messages.at(-1)!.content;
      assert.match(told, /Fix these problems[\s\S]*`sum \+= price;`: This is slow\./);
    } finally {
      problems.dispose();
    }
  });

  test("an instruction is chosen from those that are ready", async () => {
    await open("ts", source);
    const running = run("ringside.refactor");
    await delay(500); // for the box to open: nothing tells
    await vscode.commands.executeCommand("workbench.action.acceptSelectedQuickOpenItem");
    await running;
    assert.match(endpoint.asked[0]!.messages.at(-1)!.content, /simpler and easier to read/);
    await shown(after);
  });

  test("accepting twice at once applies it once", async () => {
    const editor = await open("ts", source);
    await use();
    await shown(after);
    const { messages } = await answering(undefined, async () => {
      await Promise.all([run("ringside.acceptRefactoring"), run("ringside.acceptRefactoring")]);
    });
    assert.deepEqual(messages, []);
    assert.equal(editor.document.getText(), after);
  });

  test("Windows line breaks and tabs stay", async () => {
    const windows = (text: string) => text.replaceAll("  ", "\t").replaceAll("\n", "\r\n");
    const editor = await open("ts", windows(source));
    await use();
    await run("ringside.acceptRefactoring");
    assert.equal(editor.document.getText(), windows(after));
  });
});
