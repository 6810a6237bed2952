// How long a keystroke takes: `npm run bench`. A file of 2,000 tokens that has been read, one character
// typed, and the time from request to reply of the language server, over its own protocol.
//
//   node --import tsx test/bench/keystroke.ts [--json] [--keys N] [--model PATH]

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import { readSettings } from "../../server/settings";

const root = join(__dirname, "..", "..");
const uri = "file:///src/app/bench.ts";
const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    keys: { type: "string", default: "120" },
    model: { type: "string" }, // default: the bundled one
  },
});

/** What the server logs of a completion that the model made; see Session.succeeded. */
const LOGGED =
  /^(\d+) tokens after (\d+) \((\d+) read before\): prepare ([\d.]+), go back ([\d.]+), read ([\d.]+), decode ([\d.]+) ms/;

interface Sample {
  readonly replyMs: number;
  readonly generated: number;
  readonly prompt: number;
  readonly reused: number;
  readonly prepareMs: number;
  readonly truncateAndReadMs: number;
  readonly decodeMs: number;
}

/** A server of its own, ready, with `text` open. */
async function start(text: string): Promise<{ connection: MessageConnection; stop: () => void }> {
  const server = spawn(process.execPath, [join(root, "dist", "server.js"), "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const connection = createMessageConnection(
    new StreamMessageReader(server.stdout),
    new StreamMessageWriter(server.stdin),
  );
  const ready = new Promise<void>((resolve, reject) => {
    connection.onNotification("ringside/status", (status: { kind: string; message?: string }) => {
      if (status.kind === "ready") resolve();
      if (status.kind === "failed") reject(new Error(status.message));
    });
  });
  connection.listen();
  const chosen = values.model === undefined ? {} : { model: resolve(values.model) };
  const settings = { ...readSettings(chosen, console.error), debounceMs: 0 }; // no wait is counted
  const initializationOptions = { settings };
  await connection.sendRequest("initialize", {
    ...{ processId: process.pid, rootUri: null, capabilities: {}, initializationOptions },
  });
  await connection.sendNotification("initialized", {});
  await ready;
  const textDocument = { uri, languageId: "typescript", version: 1, text };
  await connection.sendNotification("textDocument/didOpen", { textDocument });
  return { connection, stop: () => server.kill() };
}

/** The time and place of each model call; where the cache or silence answered there is none. */
async function typeThrough(typed: string, before: string, after: string): Promise<Sample[]> {
  const { connection, stop } = await start(before + after);
  let logged: RegExpExecArray | null = null;
  connection.onNotification("window/logMessage", ({ message }: { message: string }) => {
    logged = LOGGED.exec(message) ?? logged;
  });
  const lines = before.split("\n");
  let character = lines.at(-1)!.length;
  const line = lines.length - 1;
  const samples: Sample[] = [];
  let version = 1;
  for (const text of typed) {
    const position = { line, character };
    const range = { start: position, end: position };
    version++;
    await connection.sendNotification("textDocument/didChange", {
      textDocument: { uri, version },
      contentChanges: [{ range, text }],
    });
    character++;
    logged = null;
    const start = performance.now();
    await connection.sendRequest("textDocument/inlineCompletion", {
      textDocument: { uri },
      position: { line, character },
      context: { triggerKind: 1 },
    });
    const replyMs = performance.now() - start;
    await new Promise((done) => setTimeout(done, 5)); // for the log, which may come after the reply
    if (logged === null) continue;
    const [generated, prompt, reused, prepareMs, back, read, decodeMs] = (logged as RegExpExecArray)
      .slice(1)
      .map(Number) as [number, number, number, number, number, number, number];
    const times = { prepareMs, truncateAndReadMs: back + read, decodeMs };
    samples.push({ replyMs, generated, prompt, reused, ...times });
  }
  stop();
  return samples.slice(1); // the first one reads the whole file
}

function quantile(samples: readonly Sample[], of: keyof Sample, share: number): number {
  const sorted = samples.map((sample) => sample[of]).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

async function main(): Promise<void> {
  // This project's own source, long enough to fill the default context.
  const source = ["completion", "session", "prompt"]
    .map((name) => readFileSync(join(root, "server", `${name}.ts`), "utf8"))
    .join("\n");
  const cut = source.indexOf("\n", source.length * 0.7);
  const typed = `  const elapsed = measure(session.engine, "keystroke", samples.map((s) => s.ms)); // total time of all keys typed so far`;
  const samples = await typeThrough(
    typed.slice(0, Number(values.keys)),
    `${source.slice(0, cut)}\n`,
    source.slice(cut),
  );
  const round = (value: number) => Math.round(value * 10) / 10;
  const result = {
    modelCalls: samples.length,
    promptTokens: quantile(samples, "prompt", 0.5),
    p50Ms: round(quantile(samples, "replyMs", 0.5)),
    p95Ms: round(quantile(samples, "replyMs", 0.95)),
    truncateAndReadP50Ms: round(quantile(samples, "truncateAndReadMs", 0.5)),
    truncateAndReadP95Ms: round(quantile(samples, "truncateAndReadMs", 0.95)),
    prepareP50Ms: round(quantile(samples, "prepareMs", 0.5)),
    decodeP50Ms: round(quantile(samples, "decodeMs", 0.5)),
    generatedTokensP50: quantile(samples, "generated", 0.5),
    reusedTokensP50: quantile(samples, "reused", 0.5),
  };
  console.log("One typed character, the rest read before; request to reply, no debounce:\n");
  for (const [key, value] of Object.entries(result)) console.log(`${key.padEnd(24)} ${value}`);
  if (values.json) console.log(JSON.stringify(result));
}

void main();
