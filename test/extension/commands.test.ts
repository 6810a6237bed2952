// Commands and the status item, with an editor and a client that this file plays.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { LanguageClient } from "vscode-languageclient/node";
import type * as Commands from "../../extension/commands";
import type * as Models from "../../extension/models";
import type * as StatusModule from "../../extension/status";
import type { PullParams, PullProgress, PullResult } from "../../server/protocol";
import { provideVscode } from "./vscode";

const item: { text?: string; tooltip?: unknown } = {};
const updated: string[] = [];
const values = new Map<string, unknown>();
const reported: string[] = [];
const told: string[] = [];
let picked = /./;
let answer: string | undefined; // to what is asked once more
let languageId = "plaintext";
const document = {
  get languageId() {
    return languageId;
  },
};
let opened = () => {};
const listens = () => ({ dispose() {} });
provideVscode({
  ConfigurationTarget: { Global: 1 },
  MarkdownString: class {},
  ProgressLocation: {},
  QuickPickItemKind: { Separator: -1 },
  Range: class {},
  StatusBarAlignment: {},
  ThemeColor: class {},
  ThemeIcon: class {},
  Uri: class {},
  window: {
    get activeTextEditor() {
      return { document };
    },
    createStatusBarItem: () => Object.assign(item, { show() {} }),
    onDidChangeActiveTextEditor: listens,
    showOpenDialog: async ({ canSelectFolders = false, canSelectFiles = true }) =>
      canSelectFolders || !canSelectFiles ? [{ fsPath: "/models/own" }] : [{ fsPath: "/a.gguf" }],
    showErrorMessage: async (text: string) => void told.push(text),
    showInformationMessage: async (text: string) => void told.push(text),
    showWarningMessage: async () => answer,
    showQuickPick: async (rows: { label: string }[]) =>
      rows.find(({ label }) => picked.test(label)),
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
    onDidOpenTextDocument: (listener: (opened: object) => void) => {
      opened = () => listener(document);
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
      forgetEnds() {},
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
    status.show({ kind: "ready", model: "m", device: "CPU", says: [], canChat: false });
    followEditor(status, async () => null);
    assert.equal(item.text, "$(circle-slash) Ringside");
    languageId = "python";
    opened();
    assert.equal(item.text, "$(sparkle) Ringside");
  });
  test("says where nothing can be proposed, though the model is ready", async () => {
    let because: string | null = "usually holds secrets (.env)";
    values.set("enabled", true);
    values.set("disabledLanguages", []);
    const status = new StatusItem();
    followEditor(status, async () => because);
    assert.doesNotMatch(String(item.tooltip), /secrets/); // nobody is asked before there is a server
    status.show({ kind: "ready", model: "m", device: "CPU", says: [], canChat: false });
    await delay(1);
    assert.match(String(item.tooltip), /^Ringside is silent in this file: usually holds secrets/);
    because = null;
    opened();
    await delay(1);
    assert.equal(item.text, "$(sparkle) Ringside");
    values.set("inlineSuggest.enabled", false);
    opened();
    assert.match(String(item.tooltip), /^Ringside is not shown here: "editor\.inlineSuggest/);
    values.set("inlineSuggest.enabled", true);
  });
});

suite("choosing a model", () => {
  // A dialog that takes both takes folders alone on Windows and Linux: as VS Code's API has it.
  test("of one's own takes a file or a folder", async () => {
    const { chooseModel }: typeof Models = require("../../extension/models");
    const client = { sendRequest: async () => [] } as unknown as LanguageClient;
    const model = async (label: RegExp) => {
      picked = label;
      await chooseModel(client, async () => ({ kind: "loading", model: "", share: 0 }));
      return values.get("model");
    };
    values.set("endpoint", null);
    assert.equal(await model(/\bfile/), "/a.gguf");
    assert.equal(await model(/\bfolder/), "/models/own");
    updated.length = 0;
  });
});

suite("deleting a downloaded model", () => {
  /** What is done, in order, where `model` is in use and the user answers with `button`. */
  async function check(model: string | null, button: string | undefined, expected: string[]) {
    const { removeModel }: typeof Models = require("../../extension/models");
    const done: string[] = [];
    const client = {
      sendRequest: async (method: string, params?: { id: string }) => {
        if (method === "ringside/models")
          return ["a", "b"].map((id) => ({ id, title: id, downloaded: id === "a" }));
        done.push(`deleted ${params!.id}`);
        return { kind: "gone", says: "4 GB are free now." };
      },
    } as unknown as LanguageClient;
    values.set("endpoint", null);
    values.set("model", model);
    [picked, answer] = [/./, button];
    await removeModel(client, async () => {
      done.push(`loaded ${values.get("model")}`);
      return { kind: "off" };
    });
    assert.deepEqual(done, expected);
    updated.length = 0;
  }

  test("asks once more", () => check(null, undefined, []));
  test("says what is free then", async () => {
    told.length = 0;
    await check("b", "Delete", ["deleted a"]);
    assert.deepEqual(told, ["a is deleted: 4 GB are free now."]);
  });
  test("has the bundled model in its place first, where it is in use", () =>
    check("a", "Delete", ["loaded null", "deleted a"]));
});

suite("downloads", () => {
  /** A client as the library has it: one listener for each method. */
  function start() {
    const listeners = new Map<string, (news: PullProgress) => void>();
    const ends = new Map<string, (result: PullResult) => void>();
    const client = {
      onNotification: (method: string, listener: (news: PullProgress) => void) => {
        listeners.set(method, listener);
        return { dispose: () => listeners.delete(method) };
      },
      sendRequest: async (method: string, params: PullParams) =>
        method === "ringside/models"
          ? ["a", "b"].map((id) => ({ id, title: id }))
          : new Promise<PullResult>((end) => ends.set(params.id, end)),
    } as unknown as LanguageClient;
    const tell = (id: string) => {
      listeners.get("ringside/pullProgress")?.({ id, share: null, message: "more" });
      return reported.splice(0);
    };
    return { client, ends, tell };
  }

  test("of two models each show how far they are", async () => {
    const { downloadModel }: typeof Models = require("../../extension/models");
    const { client, ends, tell } = start();
    const downloads = ["a", "b"].map((id) => downloadModel(client, id));
    while (ends.size < 2) await delay(1);
    assert.deepEqual(tell("a"), ["Downloading a: more"]);
    ends.get("a")!({ kind: "cancelled" });
    await downloads[0];
    assert.deepEqual(tell("b"), ["Downloading b: more"]);
    ends.get("b")!({ kind: "cancelled" });
    await downloads[1];
    assert.deepEqual(tell("b"), []);
  });
  test("go on to show how far they are when the same is asked for again", async () => {
    const { downloadModel }: typeof Models = require("../../extension/models");
    const { client, ends, tell } = start();
    const first = downloadModel(client, "a");
    while (ends.size < 1) await delay(1);
    const end = ends.get("a")!;
    ends.clear();
    const again = downloadModel(client, "a");
    while (ends.size < 1) await delay(1);
    ends.get("a")!({ kind: "cancelled" }); // as where another one holds the lock
    await again;
    assert.deepEqual(tell("a"), ["Downloading a: more"]);
    end({ kind: "cancelled" });
    await first;
    assert.deepEqual(tell("a"), []);
  });
  test("in place of an endpoint load no model but their own", async () => {
    const { downloadModel }: typeof Models = require("../../extension/models");
    const { client, ends } = start();
    values.set("endpoint", "http://gpu-box:8000/v1");
    const download = downloadModel(client, "a");
    while (ends.size < 1) await delay(1);
    ends.get("a")!({ kind: "here" });
    await download;
    assert.deepEqual(updated, ["model", "endpoint"]);
  });
});
