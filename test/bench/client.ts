// The language server over its own protocol, with one document that is typed into.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import {
  createMessageConnection,
  InlineCompletionTriggerKind,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import type { Settings, Statistics, Status } from "../../server/protocol";
import { defaultSettings } from "../../server/settings";

const root = join(__dirname, "..", "..");

export class BenchClient {
  private version = 0;

  private constructor(
    private readonly server: ChildProcess,
    readonly connection: MessageConnection,
  ) {}

  /** A server of its own, ready. No wait for more keys is counted. */
  static async start(settings: Partial<Settings> = {}): Promise<BenchClient> {
    const server = spawn(process.execPath, [join(root, "dist", "server.js"), "--stdio"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const connection = createMessageConnection(
      new StreamMessageReader(server.stdout),
      new StreamMessageWriter(server.stdin),
    );
    const ready = new Promise<void>((resolve, reject) => {
      connection.onNotification("ringside/status", (status: Status) => {
        if (status.kind === "ready") resolve();
        if (status.kind === "failed") reject(new Error(status.message));
      });
    });
    connection.listen();
    const initializationOptions = { settings: { ...defaultSettings, debounceMs: 0, ...settings } };
    await connection.sendRequest("initialize", {
      ...{ processId: process.pid, rootUri: null, capabilities: {}, initializationOptions },
    });
    await connection.sendNotification("initialized", {});
    await ready;
    return new BenchClient(server, connection);
  }

  async open(uri: string, languageId: string, text: string): Promise<void> {
    this.version = 1;
    const textDocument = { uri, languageId, version: this.version, text };
    await this.connection.sendNotification("textDocument/didOpen", { textDocument });
  }

  close(uri: string): Promise<void> {
    return this.connection.sendNotification("textDocument/didClose", { textDocument: { uri } });
  }

  async type(uri: string, position: { line: number; character: number }, text: string) {
    this.version++;
    await this.connection.sendNotification("textDocument/didChange", {
      textDocument: { uri, version: this.version },
      contentChanges: [{ range: { start: position, end: position }, text }],
    });
  }

  /** What is proposed there first, and how long the reply took. */
  async ask(uri: string, position: { line: number; character: number }) {
    const start = performance.now();
    const items = await this.connection.sendRequest<{ insertText: string }[]>(
      "textDocument/inlineCompletion",
      {
        textDocument: { uri },
        position,
        context: { triggerKind: InlineCompletionTriggerKind.Automatic },
      },
    );
    return { text: items[0]?.insertText ?? "", replyMs: performance.now() - start };
  }

  statistics(): Promise<Statistics> {
    return this.connection.sendRequest("ringside/statistics");
  }

  stop(): void {
    this.server.kill();
  }
}

/** The value that `share` of them are at most; NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
