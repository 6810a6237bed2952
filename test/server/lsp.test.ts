// The built server over stdio: node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
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
import {
  type InitializationOptions,
  type RefactorParams,
  type RefactorProgress,
  type RefactorResult,
  refactorMethod,
  refactorProgressMethod,
  type Status,
} from "../../server/protocol";
import { FileServer } from "./models/server";

const server = join(__dirname, "../../dist/server.js");
const uri = "file:///p/a.ts";
const text = "function add(a: number, b: number) {\n  return \n}\n";
const TIMEOUT_MS = 20_000; // for a model to load on a busy machine

interface Client {
  readonly connection: MessageConnection;
  readonly settled: Status; // the first status that is not loading
  readonly statuses: readonly Status[]; // all so far
}

const ask = ({ connection }: Client, line = 1, character = 9) =>
  connection.sendRequest("textDocument/inlineCompletion", {
    textDocument: { uri },
    position: { line, character },
    context: { triggerKind: 1 },
  }) as Promise<{ insertText: string }[]>;

const refactor = ({ connection }: Client, preset: RefactorParams["preset"], version = 1) => {
  const place = { line: 1, character: 4 };
  const params: RefactorParams = {
    ...{ id: "1", textDocument: { uri }, version, range: { start: place, end: place } },
    ...{ preset, instruction: "", problems: [], attempt: 0 },
  };
  return connection.sendRequest(refactorMethod, params) as Promise<RefactorResult>;
};

/** The environment of a server with a GPU that is not there, and does as fakegpu.cjs has it. */
const withGpuThat = (does: string) => ({
  NODE_OPTIONS: `--require ${JSON.stringify(join(__dirname, "fakegpu.cjs"))}`,
  RINGSIDE_FAKE_GPU: does,
});

/** What the status says once the server has nothing to load any more. */
async function readyAgain({ statuses }: Client): Promise<Status & { kind: "ready" }> {
  const end = Date.now() + TIMEOUT_MS;
  for (const heard = statuses.length; Date.now() < end; await delay(20)) {
    const last = statuses.at(-1);
    if (statuses.length > heard && last?.kind === "ready") return last;
  }
  throw new Error("The server does not get ready again.");
}

/** Starts a server with `settings` and an open document, and ends it after `use`. */
async function check(
  settings: unknown,
  use: (client: Client) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
  options: Omit<InitializationOptions, "settings"> = {},
) {
  const child = spawn(process.execPath, [server, "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const connection = createMessageConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  try {
    const statuses: Status[] = [];
    const status = new Promise<Status>((resolve, reject) => {
      setTimeout(() => reject(new Error("The server says nothing.")), TIMEOUT_MS).unref();
      connection.onNotification("ringside/status", (heard: Status) => {
        statuses.push(heard);
        if (heard.kind !== "loading") resolve(heard);
      });
    });
    connection.listen();
    const initializationOptions = { settings, ...options };
    const params = { processId: null, rootUri: null, capabilities: {}, initializationOptions };
    const { capabilities } = (await connection.sendRequest("initialize", params)) as {
      capabilities: Record<string, unknown>;
    };
    assert.equal(capabilities.inlineCompletionProvider, true);
    await connection.sendNotification("initialized", {});
    const textDocument = { uri, languageId: "typescript", version: 1, text };
    await connection.sendNotification("textDocument/didOpen", { textDocument });
    await use({ connection, settled: await status, statuses });
  } finally {
    connection.dispose();
    child.kill();
  }
}

const gguf = join(__dirname, "../fixtures/native/qwen2-tiny.gguf");

/** A refactoring that every model can do. */
const rewriting = {
  ...{ id: "1", textDocument: { uri }, version: 1, preset: "rewrite", instruction: "" },
  ...{ range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } } },
  ...{ problems: [], attempt: 0 },
};

function cancellation() {
  const source = new CancellationTokenSource();
  return { token: source.token, cancel: () => source.cancel() };
}

const quick = { threads: 1, maxTokens: 8, debounceMs: 0 };

suite("language server", () => {
  test("answers with what the bundled model writes", () =>
    check(quick, async (client) => {
      assert.equal(client.settled.kind, "ready");
      const items = await ask(client);
      assert.ok(items.length > 1, "no alternatives");
      assert.equal(new Set(items.map(({ insertText }) => insertText)).size, items.length);
      for (const { insertText } of items) assert.ok(insertText.length > 0);
      assert.deepEqual(await ask(client), items);
    }));
  test("loads no model while completions are off, until one is asked for", () =>
    check({ ...quick, enabled: false }, async (client) => {
      assert.equal(client.settled.kind, "off");
      assert.deepEqual(await ask(client), []);
      assert.deepEqual(client.statuses, [{ kind: "off" }]);
      const refactoring = client.connection.sendRequest("ringside/refactor", rewriting);
      await refactoring;
      assert.equal(client.statuses.at(-1)!.kind, "ready");
    }));
  test("waits no longer for an endpoint than who asked for it", () =>
    check({ ...quick, enabled: false, endpoint: "http://127.0.0.1:9/v1" }, async (client) => {
      const { token, cancel } = cancellation();
      const asked = client.connection.sendRequest<RefactorResult>(
        "ringside/refactor",
        rewriting,
        token,
      );
      while (client.statuses.at(-1)?.kind !== "failed") await delay(20); // nothing listens there
      cancel();
      assert.deepEqual(await asked, { kind: "cancelled" });
    }));
  test("loads a model once completions are turned on", () =>
    check({ ...quick, enabled: false }, async (client) => {
      const ready = readyAgain(client);
      await client.connection.sendNotification("workspace/didChangeConfiguration", {
        settings: { ringside: { ...quick, enabled: true } },
      });
      assert.equal((await ready).model, "ringside-small");
      assert.ok((await ask(client)).length > 0);
    }));
  test("goes without a model that has ended the server, until another is chosen", () =>
    check(
      { ...quick, model: gguf },
      async (client) => {
        assert.ok(client.settled.kind === "ready");
        assert.equal(client.settled.model, "ringside-small");
        assert.match(
          client.settled.says[0]!,
          /^qwen2-tiny\.gguf ended the server while it was loaded/,
        );
        const ready = readyAgain(client);
        await client.connection.sendNotification("workspace/didChangeConfiguration", {
          settings: { ringside: quick },
        });
        assert.doesNotMatch((await ready).says.join(" "), /ended the server/);
      },
      {},
      { modelEndsServer: true },
    ));
  test("lives on with settings that make no sense", () =>
    check({ threads: "many", model: 3, disabledLanguages: null, maxTokens: -1 }, async (client) => {
      assert.equal(client.settled.kind, "ready");
      await client.connection.sendNotification("workspace/didChangeConfiguration", {
        settings: { ringside: ["?"] },
      });
      assert.ok(Array.isArray(await ask(client)));
    }));
  test("says that there is no model, and proposes nothing", () =>
    check({ model: "/nowhere/at/all" }, async (client) => {
      assert.equal(client.settled.kind === "failed" && client.settled.code, "MODEL_NOT_FOUND");
      assert.deepEqual(await ask(client), []);
    }));
  test("runs a GGUF model that the user has, and says how fast it is", () =>
    check({ ...quick, model: gguf }, async (client) => {
      assert.ok(client.settled.kind === "ready");
      assert.equal(client.settled.model, "Tiny Coder");
      assert.match(client.settled.says[0]!, /^Completes in about \d+ ms here/);
      assert.ok(Array.isArray(await ask(client)));
    }));
  test("says how a model of the catalogue is got", () =>
    check({ model: "qwen2.5-coder-1.5b", modelsDirectory: "/nowhere" }, async (client) => {
      assert.ok(client.settled.kind === "failed");
      assert.equal(client.settled.code, "MODEL_NOT_FOUND");
      assert.match(client.settled.message, /ringside pull qwen2.5-coder-1.5b/);
    }));
  test("loads a model that was chosen before it was downloaded", async () => {
    const host = await FileServer.start(readFileSync(gguf));
    const modelsDirectory = mkdtempSync(join(tmpdir(), "ringside-lsp-"));
    // One of which nobody published the size or the checksum: any file may be it.
    const model = "qwen2.5-coder-0.5b-q4_k_m";
    const settings = { ...quick, model, modelsDirectory, mirror: host.base };
    try {
      await check(settings, async ({ connection, settled, statuses }) => {
        assert.equal(settled.kind === "failed" && settled.code, "MODEL_NOT_FOUND");
        const pulled = connection.sendRequest("ringside/pull", { id: model, http: {} });
        assert.deepEqual(await pulled, { kind: "here" });
        const end = Date.now() + TIMEOUT_MS;
        while (statuses.at(-1)?.kind !== "ready" && Date.now() < end) await delay(50);
        const last = statuses.at(-1)!;
        assert.equal(last.kind === "ready" && last.model, "Tiny Coder");
      });
    } finally {
      await host.stop();
    }
  });
  test("loads once for settings that ask for the same model", () =>
    check({ ...quick, model: gguf }, async ({ connection, statuses }) => {
      for (const enabled of [false, true]) {
        await connection.sendNotification("workspace/didChangeConfiguration", {
          settings: { ringside: { ...quick, model: gguf, enabled } },
        });
      }
      await connection.sendRequest("ringside/models");
      assert.equal(statuses.filter(({ kind }) => kind === "ready").length, 1);
    }));
  test("says which GPU runs the model", () =>
    check(
      quick,
      async (client) => {
        assert.ok(client.settled.kind === "ready");
        assert.equal(client.settled.device, "Fake GPU (6 of 6 layers)");
        assert.equal(client.settled.says.length, 0);
        assert.notEqual((await ask(client)).length, 0);
      },
      withGpuThat("works"),
    ));
  test("outlives a graphics driver that crashes, and says so", () =>
    check(
      quick,
      async (client) => {
        assert.ok(client.settled.kind === "ready");
        assert.match(client.settled.device, /^CPU/);
        assert.match(client.settled.says.join("\n"), /SIGSEGV|0xc0000005/);
        assert.notEqual((await ask(client)).length, 0);
      },
      withGpuThat("crashes"),
    ));
  test("goes on with the CPU when the GPU is lost", () =>
    check(
      quick,
      async (client) => {
        const ready = readyAgain(client);
        assert.deepEqual(await ask(client), []); // an empty reply, not an error
        const { device, says } = await ready;
        assert.match(device, /^CPU/);
        assert.match(says.join("\n"), /^The GPU was lost.*CUDA error 719/);
        assert.notEqual((await ask(client)).length, 0);
        assert.ok(client.statuses.every(({ kind }) => kind !== "failed"));
      },
      withGpuThat("is lost"),
    ));
  test("answers an older request that a newer one ends", () =>
    check({ ...quick, debounceMs: 200 }, async (client) => {
      const [older, newer] = await Promise.all([ask(client), ask(client, 2, 1)]);
      assert.deepEqual(older, []);
      assert.ok(Array.isArray(newer));
    }));
  test("rewrites a block, and is silent with completions meanwhile", () =>
    check(quick, async (client) => {
      const heard: RefactorProgress[] = [];
      client.connection.onNotification(refactorProgressMethod, (news) => void heard.push(news));
      const rewriting = refactor(client, "rewrite");
      assert.deepEqual(await ask(client), []);
      const result = await rewriting;
      assert.ok(result.kind === "done", JSON.stringify(result));
      assert.deepEqual(result.target.start, { line: 1, character: 2 });
      assert.deepEqual(heard[0], { id: "1", target: result.target, text: "" });
      assert.ok(heard.length > 1);
      assert.ok((await ask(client)).length > 0);
    }));
  test("cancels a completion for a refactoring, and a refactoring for the newer one", () =>
    check({ ...quick, debounceMs: 300 }, async (client) => {
      const completing = ask(client);
      const older = refactor(client, "rewrite");
      const newer = refactor(client, "rewrite");
      assert.deepEqual(await completing, []);
      assert.deepEqual(await older, { kind: "cancelled" });
      assert.equal((await newer).kind, "done");
    }));
  test("refuses an instruction that its model can't follow, and a version that it does not have", () =>
    check(quick, async (client) => {
      const refused = await refactor(client, "simplify");
      assert.equal(refused.kind === "refused" && refused.code, "CANT_CHAT");
      const stale = await refactor(client, "rewrite", 7);
      assert.equal(stale.kind === "refused" && stale.code, "DOCUMENT_CHANGED");
    }));
});
