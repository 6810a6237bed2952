// How long a keystroke takes: `npm run bench`. A file of 2,000 tokens that has been read, one character
// typed, and the time from request to reply of the language server, over its own protocol.
//
//   node --import tsx test/bench/keystroke.ts [--json] [--keys N] [--model PATH]

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BenchClient, quantile as quantileOf } from "./client";

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

/** The time and place of each model call; where the cache or silence answered there is none. */
async function typeThrough(typed: string, before: string, after: string): Promise<Sample[]> {
  const model = values.model === undefined ? null : resolve(values.model);
  const client = await BenchClient.start({ model });
  const { connection } = client;
  await client.open(uri, "typescript", before + after);
  let logged: RegExpExecArray | null = null;
  connection.onNotification("window/logMessage", ({ message }: { message: string }) => {
    logged = LOGGED.exec(message) ?? logged;
  });
  const lines = before.split("\n");
  let character = lines.at(-1)!.length;
  const line = lines.length - 1;
  const samples: Sample[] = [];
  for (const text of typed) {
    await client.type(uri, { line, character }, text);
    character++;
    logged = null;
    const { replyMs } = await client.ask(uri, { line, character });
    await new Promise((done) => setTimeout(done, 5)); // for the log, which may come after the reply
    if (logged === null) continue;
    const [generated, prompt, reused, prepareMs, back, read, decodeMs] = (logged as RegExpExecArray)
      .slice(1)
      .map(Number) as [number, number, number, number, number, number, number];
    const times = { prepareMs, truncateAndReadMs: back + read, decodeMs };
    samples.push({ replyMs, generated, prompt, reused, ...times });
  }
  client.stop();
  return samples.slice(1); // the first one reads the whole file
}

function quantile(samples: readonly Sample[], of: keyof Sample, share: number): number {
  return quantileOf(
    samples.map((sample) => sample[of]),
    share,
  );
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
