// Context through the built server over stdio: node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";
import type { DefinitionsParams, Status } from "../../../server/protocol";

const server = join(__dirname, "../../../dist/server.js");
const SETTLE_MS = 800; // many times what it takes, for a machine that is busy
const TIMEOUT_MS = 20_000; // for a model to load on a busy machine

interface Client {
  readonly connection: MessageConnection;
  readonly folder: string;
  /** Opens a file, asks at its end, and gives what the server says of that. */
  whyAt(name: string, text: string): Promise<string>;
  /** The globs that the server wants to hear of. */
  readonly watched: readonly string[];
  readonly asked: readonly DefinitionsParams[];
}

/** Starts a server on a workspace folder that holds `files`, and ends it after `use`. */
async function check(
  files: Readonly<Record<string, string>>,
  use: (client: Client) => Promise<void>,
) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "ringside-server-")));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const uriOf = (name: string) => pathToFileURL(join(folder, name)).href;
  const child = spawn(process.execPath, [server, "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const connection = createMessageConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  const watched: string[] = [];
  const asked: DefinitionsParams[] = [];
  const settings = { threads: 1, maxTokens: 8, debounceMs: 0, excludedFiles: ["*.private.ts"] };
  const whyAt = async (name: string, text: string) => {
    const textDocument = { uri: uriOf(name), languageId: "typescript", version: 1, text };
    await connection.sendNotification("textDocument/didOpen", { textDocument });
    await delay(SETTLE_MS); // until what it imports has been found
    const lines = text.split("\n");
    const position = { line: lines.length - 1, character: lines.at(-1)!.length };
    const context = { triggerKind: 1 };
    await connection.sendRequest("textDocument/inlineCompletion", {
      textDocument,
      position,
      context,
    });
    return connection.sendRequest<string>("ringside/why", { uri: textDocument.uri });
  };
  try {
    const ready = new Promise<void>((resolve, reject) => {
      setTimeout(() => reject(new Error("The server says nothing.")), TIMEOUT_MS).unref();
      connection.onNotification("ringside/status", ({ kind }: Status) => {
        if (kind !== "loading") resolve();
      });
    });
    connection.onRequest("client/registerCapability", ({ registrations }) => {
      for (const { registerOptions } of registrations) {
        for (const { globPattern } of registerOptions?.watchers ?? []) watched.push(globPattern);
      }
    });
    connection.onRequest("ringside/definitions", (params: DefinitionsParams) => {
      asked.push(params);
      return [{ uri: uriOf("editor.ts"), line: 0, text: "declare const fromTheEditor: 1;\n" }];
    });
    connection.listen();
    await connection.sendRequest("initialize", {
      processId: null,
      rootUri: null,
      workspaceFolders: [{ uri: pathToFileURL(folder).href, name: "w" }],
      capabilities: { workspace: { didChangeWatchedFiles: { dynamicRegistration: true } } },
      initializationOptions: { settings, definitions: true },
    });
    await connection.sendNotification("initialized", {});
    await ready;
    await use({ connection, folder, whyAt, watched, asked });
  } finally {
    connection.dispose();
    child.kill();
    rmSync(folder, { recursive: true });
  }
}

suite("context in the server", () => {
  test("shows what is imported, and says so", () =>
    check(
      { "b.ts": "export function readDigit(text: string): number {\n  return 1;\n}\n" },
      async ({ whyAt }) => {
        const why = await whyAt("a.ts", 'import { readDigit } from "./b";\nconst a = ');
        assert.match(why, /imported here \| `.*b\.ts`/);
      },
    ));
  test("asks the editor for definitions where the cursor is, and shows them next time", () =>
    check({}, async ({ whyAt, asked, folder }) => {
      await whyAt("a.ts", "const a = someValue\nconst b = ");
      const { uri, names } = asked[0]!;
      assert.equal(uri, pathToFileURL(join(folder, "a.ts")).href);
      assert.deepEqual(names, [
        { line: 1, character: 0 }, // const
        { line: 0, character: "const a = ".length }, // someValue
      ]);
      const why = await whyAt("a.ts", "const a = someValue\nconst b = 2 + ");
      assert.match(why, /defines what is used here \| `.*editor\.ts`/);
    }));
  test("is silent in files that hold secrets, that the user or that git excludes", () =>
    check({ ".gitignore": "generated.ts\n" }, async ({ whyAt }) => {
      assert.match(await whyAt(".env", "const a = "), /usually holds secrets \(\.env\)/);
      assert.match(await whyAt("x.private.ts", "const a = "), /excludedFiles" \(\*\.private\.ts\)/);
      assert.match(await whyAt("generated.ts", "const a = "), /ignored by git \(generated\.ts in /);
    }));
  test("hears of new files, if the client can tell", () =>
    check({}, async ({ connection, whyAt, watched, folder }) => {
      assert.ok(
        watched.some((glob) => glob.includes(".ts")) &&
          watched.some((glob) => glob.includes(".gitignore")) &&
          watched.includes("**/*"), // folders
      );
      const uri = pathToFileURL(join(folder, "late.ts")).href;
      writeFileSync(join(folder, "late.ts"), "export function readLate(): void {}\n");
      await connection.sendNotification("workspace/didChangeWatchedFiles", {
        changes: [{ uri, type: 1 }],
      });
      await delay(SETTLE_MS);
      assert.match(
        await whyAt("a.ts", "readLate();\nconst a = "),
        /defines what is named here \| `.*late\.ts`/,
      );
    }));
  test("takes a notebook's cells for one file, also while they are opened and closed", () =>
    check({}, async ({ connection, folder, asked }) => {
      const notebook = pathToFileURL(join(folder, "n.ipynb")).href;
      const cellUri = (name: string) =>
        `vscode-notebook-cell:${new URL(notebook).pathname}#${name}`;
      const cell = (name: string, text: string) => ({
        ...{ uri: cellUri(name), languageId: "typescript", version: 1, text },
      });
      const one = cell("W0", "function readDigit(text: string): number {\n  return 1;\n}\n");
      const two = cell("W1", "const text = readDigit;\nconst digit = ");
      const cells = [one, two].map(({ uri }) => ({ kind: 2, document: uri }));
      await connection.sendNotification("notebookDocument/didOpen", {
        notebookDocument: { uri: notebook, notebookType: "x", version: 1, cells },
        cellTextDocuments: [one, two],
      });
      /** What is shown beside the notebook, of all that the model is shown in the second cell. */
      const others = async (character: number) => {
        await delay(SETTLE_MS);
        const textDocument = { uri: two.uri };
        const position = { line: 1, character };
        const context = { triggerKind: 1 };
        await connection.sendRequest("textDocument/inlineCompletion", {
          ...{ textDocument, position, context },
        });
        const why = await connection.sendRequest<string>("ringside/why", textDocument);
        assert.match(why, /What stands before the cursor \| `[^`#]*\/n\.ipynb`/);
        return Array.from(why.matchAll(/\| Other code[^|]*\| `([^`]*)`/g), ([, path]) => path);
      };
      assert.deepEqual(await others(14), []);
      // The names are asked for where they stand in their cell, and it is the editor that knows it.
      assert.equal(asked[0]!.uri, two.uri);
      assert.deepEqual(asked[0]!.names[0], { line: 1, character: 6 });
      const edit = (version: number, text: string) =>
        connection.sendNotification("notebookDocument/didChange", {
          notebookDocument: { uri: notebook, version },
          change: {
            cells: {
              textContent: [
                {
                  document: { uri: one.uri, version },
                  changes: [{ range: range(0, 0), text }],
                },
              ],
            },
          },
        });
      await edit(2, "// digit\n");
      await edit(3, "// text\n");
      const shown = await others(13);
      assert.deepEqual(
        shown.map((path) => path!.split("/").at(-1)),
        ["editor.ts"], // and neither the cell nor what was edited there
      );
      await connection.sendNotification("notebookDocument/didClose", {
        notebookDocument: { uri: notebook },
        cellTextDocuments: [{ uri: one.uri }, { uri: two.uri }],
      });
    }));
});

function range(line: number, character: number) {
  return { start: { line, character }, end: { line, character } };
}
