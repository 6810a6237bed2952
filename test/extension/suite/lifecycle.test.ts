import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { createClient } from "../../../extension/client";
import type { Status } from "../../../server/protocol";
import {
  accept,
  api,
  nothingToAccept,
  open,
  ready,
  shownAfter,
  trigger,
  type,
  until,
} from "./editor";

const root = vscode.extensions.getExtension("ringside.ringside")!.extensionPath;
const gguf = join(root, "test", "fixtures", "native", "qwen2-tiny.gguf");
const source = "function twice(value: number): number {\n  |\n}\n";

/** Process ids of the completion server, found as an operator would. */
function serverPids(): number[] {
  if (process.platform === "linux") {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.filter(isServer).map(Number);
  }
  const listed = execFileSync("ps", ["-axo", "pid=,command="], { encoding: "utf8" }).split("\n");
  return listed.filter((row) => row.includes(serverScript)).map((row) => Number.parseInt(row, 10));
}

const serverScript = "dist/server.js";

function isServer(pid: string): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`); // gone, or another user's, if this throws
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(serverScript);
  } catch {
    return false;
  }
}

/** A client of a server whose program is `text`. */
function clientOf(text: string, status: (status: Status) => void) {
  const extensionPath = mkdtempSync(join(tmpdir(), "ringside-server-"));
  mkdirSync(join(extensionPath, "dist"));
  writeFileSync(join(extensionPath, "dist", "server.js"), text);
  const context = { extensionPath, globalStorageUri: vscode.Uri.file(extensionPath) };
  const log = vscode.window.createOutputChannel("Ringside for a test", { log: true });
  return createClient(context as vscode.ExtensionContext, log, { status, activity: () => {} });
}

suite("the extension and its server", () => {
  suiteSetup(ready);
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("the status names the model and the device", async () => {
    const { status, statusText } = await api();
    assert.ok(status.kind === "ready");
    assert.match(status.device, /^CPU \(\w+, \d+ threads?\)$|^.+ \(\d+ of \d+ layers\)$/);
    assert.match(statusText, /Ringside/);
  });

  test("a server that is killed comes back and completes", async () => {
    const before = serverPids();
    assert.ok(before.length > 0, "no server process found");
    for (const pid of before) process.kill(pid, "SIGKILL");
    const ringside = await api();
    await until("another server to be ready", () => {
      const again = serverPids().some((pid) => !before.includes(pid));
      return again && ringside.status.kind === "ready" ? true : null;
    });
    const editor = await open("ts", source);
    await type("return ");
    const inserted = await accept(editor, "editor.action.inlineSuggest.commit");
    assert.notEqual(inserted.trim(), "");
  });

  test("a server that ends before it says anything shows in the status, with no popup", async () => {
    const popups: string[] = [];
    const { showErrorMessage } = vscode.window;
    Object.assign(vscode.window, { showErrorMessage: async (text: string) => popups.push(text) });
    let message = "";
    const client = clientOf("process.exit(1);", (status) => {
      if (status.kind === "failed") message = status.message;
    });
    try {
      await client.start().catch(() => {});
      await until("it to be given up", () => (/6 times/.test(message) ? true : null));
      await new Promise((done) => setTimeout(done, 500)); // what else would be said
      assert.deepEqual(popups, []);
      assert.match(message, /ended 6 times in three minutes. See the log/);
    } finally {
      Object.assign(vscode.window, { showErrorMessage });
    }
  });

  test("a model that ends the server is gone without", async () => {
    // As much of a server as it takes: it says what it loads, and ends unless it is to go without.
    const server = `
      const say = (message) => process.send({ jsonrpc: "2.0", ...message });
      process.on("message", ({ id, method, params }) => {
        if (method === "initialize") {
          const { modelEndsServer } = params.initializationOptions;
          say({ id, result: { capabilities: {} } });
          const status = modelEndsServer
            ? { kind: "ready", model: "small", device: "CPU", says: [], canChat: false }
            : { kind: "loading", model: "huge", share: 0 };
          say({ method: "ringside/status", params: status });
          if (!modelEndsServer) setTimeout(() => process.exit(137), 100);
        } else if (id !== undefined) say({ id, result: null });
      });`;
    const statuses: Status[] = [];
    const client = clientOf(server, (status) => statuses.push(status));
    try {
      await client.start().catch(() => {});
      await until("the other model", () => (statuses.at(-1)?.kind === "ready" ? true : null));
      const failures = statuses.flatMap((each) => (each.kind === "failed" ? each.message : []));
      assert.equal(failures.length, 2);
      assert.match(failures[0]!, /ended while it loaded huge/);
    } finally {
      await client.stop();
    }
  });

  test("the restart command brings a new server", async () => {
    const before = serverPids();
    await vscode.commands.executeCommand("ringside.restart");
    await until("another server", () => {
      const pids = serverPids();
      return pids.length > 0 && pids.every((pid) => !before.includes(pid)) ? true : null;
    });
    await ready();
  });

  test("toggling turns proposals off and on", async () => {
    const ringside = await api();
    await vscode.commands.executeCommand("ringside.toggle");
    const editor = await open("ts", source);
    await type("return ");
    await trigger();
    assert.ok(await nothingToAccept(editor, 1500));
    assert.match(ringside.statusText, /circle-slash/);
    await vscode.commands.executeCommand("ringside.toggle");
    assert.notEqual(await shownAfter("ts", source, "return "), "");
  });

  test("toggling a language writes it to the setting, and takes it out again", async () => {
    await open("ts", source);
    const disabled = () =>
      vscode.workspace.getConfiguration("ringside").get<string[]>("disabledLanguages")!;
    await vscode.commands.executeCommand("ringside.toggleLanguage");
    assert.ok(disabled().includes("typescript"));
    await vscode.commands.executeCommand("ringside.toggleLanguage");
    assert.ok(!disabled().includes("typescript"));
  });

  test("a GGUF file that the user has is run, tried, and spoken of in the status", async () => {
    const settings = vscode.workspace.getConfiguration("ringside");
    const ringside = await api();
    await settings.update("model", gguf, vscode.ConfigurationTarget.Global);
    try {
      const { model, says } = await until("the model to be ready", () =>
        ringside.status.kind === "ready" && ringside.status.model === "Tiny Coder"
          ? ringside.status
          : null,
      );
      assert.equal(model, "Tiny Coder");
      assert.match(says.join(" "), /Completes in about|Too slow for this machine/);
      await open("ts", source);
      await type("return ");
      await trigger(); // whatever random weights write: no popup, no failure
      assert.equal(ringside.status.kind, "ready");
    } finally {
      await settings.update("model", undefined, vscode.ConfigurationTarget.Global);
    }
    await until("the bundled model", () =>
      ringside.status.kind === "ready" && ringside.status.model === "ringside-small" ? true : null,
    );
  });

  test("a model is downloaded when the user asks for it by name, and used", async () => {
    const bytes = readFileSync(gguf);
    const asked: string[] = [];
    const host = createServer((request, response) => {
      asked.push(request.url!);
      response.setHeader("Content-Length", bytes.length);
      response.end(bytes);
    }).listen(0, "127.0.0.1");
    await until("the host", () => (host.listening ? true : null));
    const settings = vscode.workspace.getConfiguration("ringside");
    const { Global } = vscode.ConfigurationTarget;
    const { port } = host.address() as AddressInfo;
    const ringside = await api();
    await settings.update("mirror", `http://127.0.0.1:${port}`, Global);
    await settings.update(
      "modelsDirectory",
      mkdtempSync(join(tmpdir(), "ringside-models-")),
      Global,
    );
    try {
      // One of which nobody published the size or the checksum: any file may be it.
      await vscode.commands.executeCommand("ringside.downloadModel", "qwen2.5-coder-0.5b-q4_k_m");
      assert.match(asked[0]!, /^\/bartowski\/.*Q4_K_M\.gguf$/);
      const { workspaceValue, globalValue } = settings.inspect("model") ?? {};
      assert.notEqual(workspaceValue ?? globalValue, null);
      await until("the downloaded model", () =>
        ringside.status.kind === "ready" && ringside.status.model === "Tiny Coder" ? true : null,
      );
    } finally {
      for (const name of ["model", "mirror", "modelsDirectory"]) {
        await settings.update(name, undefined, Global);
      }
      host.close();
    }
    await ready();
  });

  test("a model that is not there shows in the status, and the next one that is works", async () => {
    const settings = vscode.workspace.getConfiguration("ringside");
    const ringside = await api();
    await settings.update("model", "/nowhere/model", vscode.ConfigurationTarget.Global);
    try {
      const failed = await until("the failure", () =>
        ringside.status.kind === "failed" ? ringside.status : null,
      );
      assert.equal(failed.code, "MODEL_NOT_FOUND");
      assert.match(failed.message, /\/nowhere\/model/);
      const editor = await open("ts", source);
      await trigger();
      assert.ok(await nothingToAccept(editor, 1000));
    } finally {
      await settings.update("model", undefined, vscode.ConfigurationTarget.Global);
    }
    await ready();
  });
});
