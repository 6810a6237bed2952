// The built server as any editor starts it: over stdio, with standard requests and no options of ours.
// node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  CancellationTokenSource,
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";

const server = join(__dirname, "../../dist/server.js");
const uri = "file:///p/a.ts";
const text = "function add(a: number, b: number) {\n  return \n}\n";
const READY_MS = 20_000; // for the model to load on a busy machine
const GONE_MS = 10_000; // the server looks every three seconds whether its editor is there

interface Editor {
  readonly connection: MessageConnection;
  readonly process: ChildProcess;
  /** Resolves once the model is loaded. */
  readonly ready: Promise<unknown>;
}

interface Item {
  readonly insertText: string;
  readonly range: { readonly start: unknown; readonly end: unknown };
}

interface Start {
  readonly params?: object;
  /** What the editor answers where it is asked for its configuration; not given: it can't be asked. */
  readonly configuration?: unknown;
}

/** Starts the server, runs `use`, and ends it. */
async function check(
  use: (editor: Editor) => Promise<void>,
  { params = {}, configuration }: Start = {},
) {
  const child = spawn(process.execPath, [server, "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const connection = createMessageConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  connection.onError(() => {}); // of writing to a server that has ended
  try {
    // An editor knows nothing of ours, and ignores it: only this test looks at the status.
    const ready = new Promise<string>((resolve, reject) => {
      setTimeout(() => reject(new Error("The server does not get ready.")), READY_MS).unref();
      connection.onNotification("ringside/status", ({ kind }) => {
        if (kind !== "loading") resolve(kind);
      });
    });
    ready.catch(() => {}); // not each test waits for it
    if (configuration !== undefined) {
      connection.onRequest("workspace/configuration", ({ items }) =>
        items.map(() => configuration),
      );
    }
    connection.listen();
    const capabilities = configuration === undefined ? {} : { workspace: { configuration: true } };
    const initialize = { processId: null, rootUri: null, capabilities, ...params };
    const { capabilities: offered } = await connection.sendRequest<{
      capabilities: { inlineCompletionProvider?: unknown; textDocumentSync?: unknown };
    }>("initialize", initialize);
    assert.equal(offered.inlineCompletionProvider, true);
    await connection.sendNotification("initialized", {});
    await use({ connection, process: child, ready });
  } finally {
    connection.dispose();
    child.kill();
  }
}

const openAt = ({ connection }: Editor, at = uri, content = text) =>
  connection.sendNotification("textDocument/didOpen", {
    textDocument: { uri: at, languageId: "typescript", version: 1, text: content },
  });

const paramsAt = (at = uri, line = 1, character = 9) => ({
  textDocument: { uri: at },
  position: { line, character },
  context: { triggerKind: 1 },
});

const ask = ({ connection }: Editor, params = paramsAt()) =>
  connection.sendRequest<Item[]>("textDocument/inlineCompletion", params);

const configure = ({ connection }: Editor, settings: unknown) =>
  connection.sendNotification("workspace/didChangeConfiguration", { settings });

/** The code that the server ends with, or null if it does not end in time. */
async function exitCode({ process: child }: Editor): Promise<number | null> {
  const [code] = child.exitCode !== null ? [child.exitCode] : await once(child, "exit");
  return code;
}

suite("any editor", () => {
  test("gets completions without a single option", () =>
    check(async (editor) => {
      await openAt(editor);
      assert.equal(await editor.ready, "ready");
      const items = await ask(editor);
      assert.ok(items.length > 0);
      const here = { line: 1, character: 9 };
      for (const { insertText, range } of items) {
        assert.ok(insertText.length > 0);
        assert.deepEqual(range, { start: here, end: here });
      }
    }));
  test("gets an answer before the model is there", () =>
    check(async (editor) => {
      await openAt(editor);
      assert.ok(Array.isArray(await ask(editor)));
    }));
  test("sends settings whenever it likes", () =>
    check(async (editor) => {
      await openAt(editor);
      await editor.ready;
      await configure(editor, { ringside: { enabled: false } });
      assert.deepEqual(await ask(editor), []);
      await configure(editor, { ringside: { enabled: true } });
      assert.ok((await ask(editor)).length > 0);
      for (const odd of [null, {}, { ringside: null }, { ringside: "?" }, []]) {
        await configure(editor, odd);
      }
      assert.ok(Array.isArray(await ask(editor)));
    }));
  test("is asked for settings where it can be, and need not have any", async () => {
    const off = { initializationOptions: { settings: { enabled: false } } };
    const asks = (completes: boolean) => async (editor: Editor) => {
      await openAt(editor);
      await editor.ready;
      assert.equal((await ask(editor)).length > 0, completes);
    };
    await check(asks(false), { configuration: { enabled: false } });
    await check(asks(false), { params: off, configuration: null });
    await check(asks(true), { params: off, configuration: { enabled: true } });
  });
  test("cancels requests, and gets answers to others", () =>
    check(async (editor) => {
      await openAt(editor);
      await editor.ready;
      for (let i = 0; i < 20; i++) {
        const source = new CancellationTokenSource();
        const asked = editor.connection.sendRequest<Item[]>(
          "textDocument/inlineCompletion",
          paramsAt(),
          source.token,
        );
        await delay(i * 3);
        source.cancel();
        const reply = await asked.catch(({ code }) => code);
        assert.ok(Array.isArray(reply) || reply === -32800, JSON.stringify(reply));
      }
      assert.ok(Array.isArray(await ask(editor, paramsAt(uri, 3, 0))));
      assert.ok((await ask(editor)).length > 0);
    }));
  test("closes documents while it waits", () =>
    check(async (editor) => {
      await openAt(editor);
      await editor.ready;
      const asked = ask(editor);
      await editor.connection.sendNotification("textDocument/didClose", { textDocument: { uri } });
      assert.ok(Array.isArray(await asked));
      assert.deepEqual(await ask(editor), []);
      await openAt(editor);
      assert.ok((await ask(editor)).length > 0);
    }));
  test("asks about documents and places that are not there", () =>
    check(async (editor) => {
      await openAt(editor);
      await editor.ready;
      assert.deepEqual(await ask(editor, paramsAt("file:///p/unknown.ts")), []);
      assert.deepEqual(await ask(editor, paramsAt("")), []);
      for (const [line, character] of [
        [99, 0],
        [1, 999],
        [0, -1],
      ] as const) {
        assert.ok(Array.isArray(await ask(editor, paramsAt(uri, line, character))));
      }
      const request = editor.connection.sendRequest("textDocument/hover", paramsAt());
      await assert.rejects(request, { code: -32601 });
    }));
  test("counts in UTF-16, with any line breaks", () =>
    check(async (editor) => {
      await editor.ready;
      for (const breaks of ["\n", "\r\n"]) {
        const lines = ['const smile = "\u{1F642}é"; function add(a: number, b: number) { return '];
        const at = `file:///p/${breaks.length}.ts`;
        await openAt(editor, at, ["// first", ...lines, "}", ""].join(breaks));
        const items = await ask(editor, paramsAt(at, 1, lines[0]!.length));
        const end = { line: 1, character: lines[0]!.length };
        for (const { range, insertText } of items) {
          assert.deepEqual(range, { start: end, end });
          assert.doesNotMatch(insertText, /\r/);
        }
        assert.ok(items.length > 0);
      }
    }));
});

suite("the server ends", () => {
  test("with 0 after shutdown and exit", () =>
    check(async (editor) => {
      await openAt(editor);
      await editor.connection.sendRequest("shutdown");
      await editor.connection.sendNotification("exit");
      assert.equal(await exitCode(editor), 0);
    }));
  test("with 1 after exit alone", () =>
    check(async (editor) => {
      await editor.connection.sendNotification("exit");
      assert.equal(await exitCode(editor), 1);
    }));
  test("when its input ends", () =>
    check(async (editor) => {
      editor.process.stdin!.end();
      assert.equal(await exitCode(editor), 1);
    }));
  test("when the editor is gone that it was told of", { timeout: GONE_MS }, async () => {
    const parent = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    await check(
      async (editor) => {
        await editor.ready;
        parent.kill();
        assert.equal(typeof (await exitCode(editor)), "number");
      },
      { params: { processId: parent.pid } },
    );
  });
});
