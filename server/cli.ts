#!/usr/bin/env node
// ringside: the engine from the command line.

import { readFileSync } from "node:fs";
import { CompletionCache } from "./cache";
import { type Completion, complete } from "./completion";
import { Context } from "./context/context";
import { Debounce } from "./debounce";
import { Devices } from "./devices";
import { ModelEngine, type Placement } from "./engine";
import { coded, RingsideError } from "./errors";
import { inspection } from "./inspect";
import { languageIdOfPath } from "./languages";
import { LookAhead } from "./lookahead";
import { processTerminal, runModels } from "./models/cli";
import { type Options, readArguments, usage } from "./options";
import { choose, chosen, deviceRows, loadPlaced } from "./placement";
import { selfTest } from "./selftest";
import { defaultSettings } from "./settings";
import { SyntaxTrees } from "./trees";

async function main(): Promise<void> {
  if (["models", "pull", "remove"].includes(process.argv[2] ?? "")) {
    const controller = new AbortController();
    process.once("SIGINT", () => controller.abort()); // a second Ctrl+C ends it at once
    process.exitCode = await runModels(process.argv.slice(2), processTerminal, controller.signal);
    return;
  }
  const { command, rest, options, help } = readArguments(process.argv.slice(2));
  if (help) console.log(usage);
  else if (command === "complete" && rest.length === 1) await completeAt(rest[0]!, options);
  else if (command === "bench" && rest.length === 0) await bench(options);
  else if (command === "inspect" && rest.length <= 1) await inspect(options);
  else if (command === "test" && rest.length <= 1) await test(options);
  else if (command === "devices" && rest.length === 0) await listDevices(options);
  else if (command === "chat" && rest.length === 1) await chat(rest[0]!, options);
  else throw new RingsideError("BAD_REQUEST", usage);
}

/** The model, loaded where --device has it; what went wrong with a GPU is told beside the output. */
async function loaded({
  model,
  device,
  gpuMemoryBytes,
  load,
}: Options): Promise<{ engine: ModelEngine; loadMs: number }> {
  const choice = await chosen(device, new Devices());
  const start = performance.now();
  const loading = { path: model, options: load, choice, gpuMemoryBytes };
  const { engine, says } = await loadPlaced(loading, ModelEngine.load);
  const loadMs = performance.now() - start;
  for (const sentence of says) console.error(sentence);
  return { engine, loadMs };
}

/** Splits FILE:LINE:COLUMN and finds the offset, in UTF-16 units. */
function placeOf(argument: string): { path: string; text: string; offset: number } {
  const match = /^(.+):(\d+):(\d+)$/.exec(argument);
  if (match === null) {
    throw new RingsideError("BAD_REQUEST", `"${argument}" is not FILE:LINE:COLUMN.`);
  }
  const [, path, line, column] = match as unknown as [string, string, string, string];
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new RingsideError("BAD_REQUEST", `Can't read ${path}: ${(error as Error).message}`);
  }
  const lines = text.split("\n");
  const wanted = lines[Number(line) - 1];
  if (wanted === undefined) {
    throw new RingsideError("BAD_REQUEST", `${path} has ${lines.length} lines, no line ${line}.`);
  }
  if (Number(column) < 1 || Number(column) > wanted.length + 1) {
    const last = wanted.length + 1;
    throw new RingsideError("BAD_REQUEST", `Line ${line} of ${path} has columns 1 to ${last}.`);
  }
  const start = lines.slice(0, Number(line) - 1).reduce((sum, each) => sum + each.length + 1, 0);
  return { path, text, offset: start + Number(column) - 1 };
}

async function completeAt(argument: string, options: Options): Promise<void> {
  const { path, text, offset } = placeOf(argument);
  const { engine, loadMs } = await loaded(options);
  const services = {
    settings: { ...defaultSettings, disabledLanguages: [] },
    engine,
    cache: new CompletionCache(),
    context: new Context(),
    trees: new SyntaxTrees(),
    debounce: new Debounce(),
    lookAhead: new LookAhead(),
    tuning: null,
  };
  const document = { uri: path, languageId: languageIdOfPath(path), version: 1, text };
  const request = { document, offset, others: [], invoked: true };
  const start = performance.now();
  const completion = await complete(services, request, new AbortController().signal);
  const totalMs = performance.now() - start;
  printCompletion(text.slice(0, offset), completion, { loadMs, totalMs }, engine, options.json);
  engine.close();
}

function printCompletion(
  prefix: string,
  completion: Completion,
  { loadMs, totalMs }: { loadMs: number; totalMs: number },
  { info }: ModelEngine,
  json: boolean,
): void {
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const { proposals, calls, silence } = completion;
  const proposal = proposals[0] ?? { text: "", confidence: 0 };
  const {
    promptTokens = 0,
    generatedTokens = 0,
    readMs = 0,
    decodeMs = 0,
  } = calls[0]?.generated ?? {};
  const perSecond = (tokens: number, ms: number) => (ms > 0 ? Math.round((tokens / ms) * 1e3) : 0);
  const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : `[${text}]`);
  console.log(`${line}${bold(proposal.text)}\n`);
  if (silence !== null) console.log(`nothing  ${silence}`);
  console.log(`model    ${info.name}, ${info.backend}, ${info.threads} threads`);
  console.log(`place    ${info.placement.explanation}`);
  console.log(`load     ${loadMs.toFixed(1)} ms`);
  console.log(`read     ${promptTokens} tokens in ${readMs.toFixed(1)} ms`);
  console.log(`decode   ${generatedTokens} tokens in ${decodeMs.toFixed(1)} ms`);
  console.log(`total    ${totalMs.toFixed(1)} ms from request to completion`);
  if (!json) return;
  const readTokensPerSecond = perSecond(promptTokens, readMs);
  const decodeTokensPerSecond = perSecond(generatedTokens, decodeMs);
  const speeds = { readTokensPerSecond, decodeTokensPerSecond };
  const where = { device: info.backend, placement: info.placement };
  const cost = { promptTokens, generatedTokens, readMs, decodeMs, loadMs, totalMs };
  console.log(JSON.stringify({ ...proposal, silence, ...cost, ...speeds, ...where }));
}

const BENCH_READ = 2000; // tokens: the context that the editor sends by default
const BENCH_DECODE = 256;
const BENCH_RUNS = 5;

async function bench(options: Options): Promise<void> {
  const { engine } = await loaded(options);
  const code = readFileSync(__filename, "utf8").slice(0, 40_000); // any code will do: this program
  const room = Math.min(BENCH_READ, engine.info.contextTokens - BENCH_DECODE);
  const tokens = engine.encode(code, true).slice(0, room);
  const prompt = { tokens, featuresFrom: tokens.length };
  // Token by token: how often a guess is right depends on the text, and the model's is any.
  const never = { features: [], singleLine: false, until: () => null, draft: false };
  const signal = new AbortController().signal;
  const rows: { read: number; decode: number }[] = [];
  for (let run = 0; run <= BENCH_RUNS; run++) {
    engine.reset();
    const result = await engine.generate(prompt, { maxTokens: BENCH_DECODE, ...never }, signal);
    const read = (result.readTokens / result.readMs) * 1e3;
    const decode = (result.generatedTokens / result.decodeMs) * 1e3;
    if (run > 0) rows.push({ read, decode }); // the first run maps the file in
  }
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
  const readTokensPerSecond = Math.round(median(rows.map(({ read }) => read)));
  const decodeTokensPerSecond = Math.round(median(rows.map(({ decode }) => decode)));
  const { name, backend, threads, placement } = engine.info;
  console.log(`${name} on ${backend}, ${threads} threads, median of ${BENCH_RUNS} runs`);
  console.log(`place    ${placement.explanation}`);
  console.log(`read     ${readTokensPerSecond} tokens/s (${tokens.length} tokens)`);
  console.log(`decode   ${decodeTokensPerSecond} tokens/s (up to ${BENCH_DECODE} tokens)`);
  const speeds = { readTokensPerSecond, decodeTokensPerSecond };
  const where = { backend, threads, placement };
  if (options.json) console.log(JSON.stringify({ model: name, ...where, ...speeds }));
  engine.close();
}

async function inspect(options: Options): Promise<void> {
  const { engine } = await loaded(options);
  const { info, vocabulary } = engine;
  for (const [name, text] of inspection(info, vocabulary.fim)) {
    console.log(`${name.padEnd(12)}${text}`);
  }
  const { specialTokens, prompting, syntaxFeatures, ...rest } = info;
  const chat = prompting.chatTemplate !== "";
  if (options.json) console.log(JSON.stringify({ ...rest, fim: vocabulary.fim, chat }));
  engine.close();
}

async function test(options: Options): Promise<void> {
  const { engine } = await loaded(options);
  const result = await selfTest(engine, defaultSettings, new AbortController().signal);
  const { speeds, tuning, says } = result;
  console.log(`place    ${engine.info.placement.explanation}`);
  console.log(`read     ${Math.round(speeds.read)} tokens/s`);
  console.log(`decode   ${Math.round(speeds.decode)} tokens/s`);
  console.log(`context  ${tuning.contextTokens} tokens, a completion ${tuning.maxTokens} at most`);
  console.log(says.join("\n"));
  if (options.json) console.log(JSON.stringify(result));
  engine.close();
}

/** The GPUs, what --device chooses among them, and how much of the model that one would hold. */
async function listDevices({ model, device, gpuMemoryBytes, load, json }: Options): Promise<void> {
  const report = await new Devices().report();
  const choice = choose(device, report);
  const row = ([name, text]: readonly [string, string]) => console.log(name.padEnd(12) + text);
  for (const each of deviceRows(report)) row(each);
  row([device, choice.why]);
  let placement: Placement | null = null;
  if (choice.gpu !== null) {
    // What fits can only be known by loading.
    const loading = { path: model, options: load, choice, gpuMemoryBytes };
    const { engine, says } = await loadPlaced(loading, ModelEngine.load);
    ({ placement } = engine.info);
    row(["placement", [placement.explanation, ...says].join(" ")]);
    engine.close();
  }
  if (json) console.log(JSON.stringify({ ...report, choice, placement }));
}

const LONGEST_ANSWER = 1024; // tokens

async function chat(text: string, options: Options): Promise<void> {
  const { engine } = await loaded(options);
  const { json } = options;
  const messages = [{ role: "user", content: text }] as const;
  let shown = 0; // characters
  const generated = await engine.chat(
    messages,
    {
      maxTokens: LONGEST_ANSWER,
      onText: (whole) => {
        if (!json) process.stdout.write(whole.slice(shown));
        shown = whole.length;
      },
    },
    new AbortController().signal,
  );
  console.log(json ? JSON.stringify(generated) : "");
  engine.close();
}

// Whoever reads the output may stop before its end: `ringside chat ... | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

main().catch((error: unknown) => {
  const { code, message } = coded(error);
  console.error(`${code}: ${message}`);
  process.exitCode = 1;
});
