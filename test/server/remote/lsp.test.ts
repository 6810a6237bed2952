// The built server with an endpoint: node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";
import type { EndpointKeyParams, Status } from "../../../server/protocol";
import { answers, FakeEndpoint, writes } from "./endpoint";

const server = join(__dirname, "../../../dist/server.js");
const uri = "file:///p/a.ts";
const READY_MS = 20_000;

interface Editor {
  /** Keys by origin, for an editor that stores them; null: it stores none. */
  readonly keys: Record<string, string> | null;
  readonly env?: Record<string, string>;
}

interface Talk {
  readonly statuses: readonly Status[];
  ask(): Promise<{ insertText: string }[]>;
  notify(method: string, params: unknown): Promise<void>;
  /** Waits for a status that `is` holds of. */
  until(is: (status: Status) => boolean): Promise<void>;
}

/** Starts the server with `endpoint`, talks to it, and returns all that it wrote. */
async function check(
  { url }: Pick<FakeEndpoint, "url">,
  { keys, env = {} }: Editor,
  talk: (talk: Talk) => Promise<void>,
): Promise<string> {
  const child = spawn(process.execPath, [server, "--stdio"], { env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  const connection = createMessageConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  const statuses: Status[] = [];
  connection.onNotification("ringside/status", (status: Status) => void statuses.push(status));
  if (keys !== null) {
    connection.onRequest(
      "ringside/endpointKey",
      ({ origin }: EndpointKeyParams) => keys[origin] ?? null,
    );
  }
  connection.listen();
  try {
    const settings = { endpoint: url, debounceMs: 0 };
    const initializationOptions = { settings, storesKeys: keys !== null };
    const params = { processId: null, rootUri: null, capabilities: {}, initializationOptions };
    await connection.sendRequest("initialize", params);
    await connection.sendNotification("initialized", {});
    const textDocument = { uri, languageId: "typescript", version: 1, text: "const a = \n" };
    await connection.sendNotification("textDocument/didOpen", { textDocument });
    await talk({
      statuses,
      ask: () =>
        connection.sendRequest("textDocument/inlineCompletion", {
          textDocument: { uri },
          position: { line: 0, character: 10 },
          context: { triggerKind: 1 },
        }),
      notify: (method, parameter) => connection.sendNotification(method, parameter),
      until: async (is) => {
        for (const end = Date.now() + READY_MS; !statuses.some(is); await delay(20)) {
          if (Date.now() > end) throw new Error(`It says ${JSON.stringify(statuses.at(-1))}.`);
        }
      },
    });
    return output;
  } finally {
    connection.dispose();
    child.kill();
  }
}

/** Runs `use` with an endpoint that wants `key`. */
async function withKey(key: string, use: (endpoint: FakeEndpoint) => Promise<void>) {
  const endpoint = await FakeEndpoint.start();
  endpoint.always = (response, heard) => {
    const given = heard.headers.authorization;
    const refused = answers(401, { error: { message: `Wrong key: ${given}` } });
    (given === `Bearer ${key}` ? writes("value;") : refused)(response, heard);
  };
  try {
    await use(endpoint);
  } finally {
    await endpoint.stop();
  }
}

const isReady = ({ kind }: Status) => kind === "ready";
const key = "sk-ringside-9876543210";

suite("language server with an endpoint", () => {
  test("asks the editor for the key, completes, and never repeats the key", () =>
    withKey(key, async (endpoint) => {
      const output = await check(endpoint, { keys: { [endpoint.origin]: key } }, async (editor) => {
        await editor.until(isReady);
        assert.equal((await editor.ask())[0]!.insertText, "value;");
      });
      assert.ok(!output.includes(key));
    }));
  test("takes the key from the environment where the editor stores none", () =>
    withKey(key, async (endpoint) => {
      const output = await check(
        endpoint,
        { keys: null, env: { RINGSIDE_ENDPOINT_KEY: key } },
        async (editor) => {
          await editor.until(isReady);
          assert.equal((await editor.ask())[0]!.insertText, "value;");
        },
      );
      assert.ok(!output.includes(key));
    }));
  test("says that a key is wrong without repeating it, and works once it is another", () =>
    withKey(key, async (endpoint) => {
      const wrong = "sk-wrong-5555555555";
      const keys = { [endpoint.origin]: wrong };
      const output = await check(endpoint, { keys }, async (editor) => {
        await editor.until((status) => status.kind === "failed");
        const failed = editor.statuses.find(({ kind }) => kind === "failed")!;
        assert.equal(failed.kind === "failed" && failed.code, "ENDPOINT_UNAUTHORIZED");
        assert.deepEqual(await editor.ask(), []);
        keys[endpoint.origin] = key;
        await editor.notify("ringside/endpointKeyChanged", { origin: endpoint.origin });
        await editor.until(isReady);
        assert.equal((await editor.ask())[0]!.insertText, "value;");
      });
      assert.ok(output.includes("Wrong key: Bearer …"));
      assert.ok(!output.includes(wrong) && !output.includes(key));
    }));
  test("takes no model of this machine instead of an endpoint that fails", () =>
    withKey(key, async (endpoint) => {
      const { url } = endpoint;
      await endpoint.stop();
      await check({ url }, { keys: null }, async (editor) => {
        await editor.until(({ kind }) => kind === "failed");
        assert.deepEqual(await editor.ask(), []);
        assert.ok(!editor.statuses.some(isReady));
      });
    }));
});
