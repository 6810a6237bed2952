// Commands and the status item, with an editor and a client that this file plays.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type * as Commands from "../../extension/commands";
import type * as StatusModule from "../../extension/status";
import type { PullProgress } from "../../server/protocol";
import { provideVscode } from "./vscode";

const item: { text?: string; tooltip?: unknown } = {};
const updated: string[] = [];
const values = new Map<string, unknown>();
const reported: string[] = [];
let languageId = "plaintext";
let opened = () => {};
const listens = () => ({ dispose() {} });
provideVscode({
  ConfigurationTarget: { Global: 1 },
  MarkdownString: class {},
  ProgressLocation: {},
  Range: class {},
  StatusBarAlignment: {},
  ThemeColor: class {},
  ThemeIcon: class {},
  Uri: class {},
  window: {
    get activeTextEditor() {
      return { document: { languageId } };
    },
    createStatusBarItem: () => Object.assign(item, { show() {} }),
    onDidChangeActiveTextEditor: listens,
    withProgress: (
      { title }: { title: string },
      run: (progress: unknown, token: unknown) => Promise<unknown>,
    ) => run({ report: ({ message }: PullProgress) => reported.push(`${title}: ${message}`) }, {}),
  },
  workspace: {
    getConfiguration: () => ({
      get: (key: string) => values.get(key),
      inspect: () => undefined,
      update: async (key: string, value: unknown) => {
        updated.push(key);
        values.set(key, value);
      },
    }),
    onDidChangeConfiguration: listens,
    onDidOpenTextDocument: (listener: () => void) => {
      opened = listener;
    },
  },
});

suite("the restart command", () => {
  test("starts the server anew though it does not stop when asked", async () => {
    const { commands }: typeof Commands = require("../../extension/commands");
    let starts = 0;
    const client = {
      needsStop: () => true,
      stop: () => Promise.reject(new Error("Stopping the server timed out")),
      start: async () => void starts++,
    };
    const log = { info() {} };
    await commands["ringside.restart"]!({ client, log } as never);
    assert.equal(starts, 1);
  });
});

suite("the status item", () => {
  const { followEditor, StatusItem }: typeof StatusModule = require("../../extension/status");

  test("says paths and a server's words as they are", () => {
    const message = "No model file at C:\\.models\\a_b_c.gguf. ![](https://example.com/a.png)";
    new StatusItem().show({ kind: "failed", code: "MODEL_NOT_FOUND", message });
    assert.ok(String(item.tooltip).startsWith(message));
  });
  test("is on again once the language of an open document is another one", () => {
    values.set("enabled", true);
    values.set("disabledLanguages", ["plaintext"]);
    const status = new StatusItem();
    status.show({ kind: "ready", model: "m", device: "CPU", says: [] });
    followEditor(status);
    assert.equal(item.text, "$(circle-slash) Ringside");
    languageId = "python";
    opened();
    assert.equal(item.text, "$(sparkle) Ringside");
  });
});
