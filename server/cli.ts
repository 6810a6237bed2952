// ringside: the engine from the command line.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CompletionCache } from "./cache";
import { chatPrompt } from "./chat";
import { type Completion, complete, contextFor } from "./completion";
import { Context } from "./context";
import { Debounce } from "./debounce";
import { ModelEngine } from "./engine";
import { coded, RingsideError } from "./errors";
import { inspection } from "./inspect";
import { languageIdOfPath } from "./languages";
import { modelsOptions, modelsUsage, processTerminal, runModels } from "./models/cli";
import { modelsDirectoryIn, resolveModel } from "./models/source";
import { selfTest } from "./selftest";
import { defaultSettings } from "./settings";
import { SyntaxTrees } from "./trees";

const usage = `Usage:
  ringside complete FILE:LINE:COLUMN   the completion there, and what it cost (LINE and COLUMN from 1)
  ringside bench                       tokens a second of reading and of decoding
  ringside inspect [FILE]              what a model is: family, size, memory, what it can be asked
  ringside test [FILE]                 how fast a model is here, and what that makes of the settings
  ringside chat TEXT                   the answer of a model that follows instructions
${modelsUsage}

Options:
  --model MODEL      the model to run, a path or an ID of \`ringside models\`; default: the bundled one
  --threads N        default: one for each physical core
  --backend NAME     auto, reference, avx2, avx512 or neon
  --context N        tokens of context; default: what the editor uses
  --memory MB        what the model may take; default: no limit
  --coverage SHARE   of a token's experts' weight, enough is run; default: 1
  --active SHARE     of the parameters, at most so many run for a token; default: 1
  --json             one JSON object as the last line
${modelsOptions}`;

const bundledModel = join(__dirname, "..", "models", "ringside-small");

interface Options {
  readonly model: string;
  readonly threads: number;
  readonly backend: "auto" | "reference" | "avx2" | "avx512" | "neon";
  readonly contextTokens: number;
  readonly memoryBytes: number;
  readonly expertCoverage: number;
  readonly activeShare: number;
  readonly json: boolean;
}

async function main(): Promise<void> {
  if (process.argv[2] === "models" || process.argv[2] === "pull") {
    const controller = new AbortController();
    process.once("SIGINT", () => controller.abort()); // a second Ctrl+C ends it at once
    process.exitCode = await runModels(process.argv.slice(2), processTerminal, controller.signal);
    return;
  }
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: "string" },
      threads: { type: "string", default: "0" },
      backend: { type: "string", default: "auto" },
      context: { type: "string", default: String(contextFor(defaultSettings)) },
      memory: { type: "string", default: "0" },
      coverage: { type: "string", default: "1" },
      active: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const [command, ...rest] = positionals;
  const takesModel = (command === "inspect" || command === "test") && rest.length === 1;
  const options: Options = {
    model: modelAt(takesModel ? rest[0] : values.model),
    threads: wholeNumber("--threads", values.threads),
    backend: backendNamed(values.backend),
    contextTokens: wholeNumber("--context", values.context),
    memoryBytes: wholeNumber("--memory", values.memory) * 1e6,
    expertCoverage: share("--coverage", values.coverage),
    activeShare: share("--active", values.active),
    json: values.json,
  };
  if (values.help) console.log(usage);
  else if (command === "complete" && rest.length === 1) await completeAt(rest[0]!, options);
  else if (command === "bench" && rest.length === 0) await bench(options);
  else if (command === "inspect" && rest.length <= 1) await inspect(options);
  else if (command === "test" && rest.length <= 1) await test(options);
  else if (command === "chat" && rest.length === 1) await chat(rest[0]!, options);
  else throw new RingsideError("BAD_REQUEST", usage);
}

/** The model of `--model`: a path from here, or as the setting "ringside.model" has it. */
function modelAt(given: string | undefined): string {
  const setting = given !== undefined && existsSync(given) ? resolve(given) : (given ?? null);
  const modelsDirectory = modelsDirectoryIn(null);
  return resolveModel(setting, { bundled: bundledModel, modelsDirectory }).path;
}

function wholeNumber(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new RingsideError("BAD_REQUEST", `${name} must be a whole number, not "${text}".`);
}

function share(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new RingsideError("BAD_REQUEST", `${name} must be above 0 and at most 1, not "${text}".`);
}

function backendNamed(name: string): Options["backend"] {
  const names = ["auto", "reference", "avx2", "avx512", "neon"] as const;
  const found = names.find((known) => known === name);
  if (found !== undefined) return found;
  throw new RingsideError(
    "BAD_REQUEST",
    `--backend must be one of ${names.join(", ")}, not "${name}".`,
  );
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
  const loading = performance.now();
  const { model, ...load } = options;
  const engine = await ModelEngine.load(model, load);
  const loadMs = performance.now() - loading;
  const services = {
    settings: { ...defaultSettings, disabledLanguages: [] },
    engine,
    cache: new CompletionCache(),
    context: new Context(),
    trees: new SyntaxTrees(),
    debounce: new Debounce(),
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
  const { promptTokens = 0, generatedTokens = 0, readMs = 0, decodeMs = 0 } = completion;
  const perSecond = (tokens: number, ms: number) => (ms > 0 ? Math.round((tokens / ms) * 1e3) : 0);
  const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : `[${text}]`);
  console.log(`${line}${bold(completion.text)}\n`);
  console.log(`model    ${info.name}, ${info.backend}, ${info.threads} threads`);
  console.log(`load     ${loadMs.toFixed(1)} ms`);
  console.log(`read     ${promptTokens} tokens in ${readMs.toFixed(1)} ms`);
  console.log(`decode   ${generatedTokens} tokens in ${decodeMs.toFixed(1)} ms`);
  console.log(`total    ${totalMs.toFixed(1)} ms from request to completion`);
  if (!json) return;
  const readTokensPerSecond = perSecond(promptTokens, readMs);
  const decodeTokensPerSecond = perSecond(generatedTokens, decodeMs);
  const speeds = { readTokensPerSecond, decodeTokensPerSecond };
  console.log(JSON.stringify({ ...completion, loadMs, totalMs, ...speeds, device: info.backend }));
}

const BENCH_READ = 2000; // tokens: the context that the editor sends by default
const BENCH_DECODE = 256;
const BENCH_RUNS = 5;

async function bench(options: Options): Promise<void> {
  const { model, ...load } = options;
  const engine = await ModelEngine.load(model, load);
  const code = readFileSync(__filename, "utf8").slice(0, 40_000); // any code will do: this program
  const room = Math.min(BENCH_READ, engine.info.contextTokens - BENCH_DECODE);
  const tokens = engine.encode(code, true).slice(0, room);
  const prompt = { tokens, featuresFrom: tokens.length };
  const never = { features: [], singleLine: false, until: () => null };
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
  const { name, backend, threads } = engine.info;
  console.log(`${name} on ${backend}, ${threads} threads, median of ${BENCH_RUNS} runs`);
  console.log(`read     ${readTokensPerSecond} tokens/s (${tokens.length} tokens)`);
  console.log(`decode   ${decodeTokensPerSecond} tokens/s (up to ${BENCH_DECODE} tokens)`);
  const speeds = { readTokensPerSecond, decodeTokensPerSecond };
  if (options.json) console.log(JSON.stringify({ model: name, backend, threads, ...speeds }));
  engine.close();
}

async function inspect({ model, json, ...load }: Options): Promise<void> {
  const engine = await ModelEngine.load(model, load);
  const { info, vocabulary } = engine;
  for (const [name, text] of inspection(info, vocabulary.fim)) {
    console.log(`${name.padEnd(12)}${text}`);
  }
  const { specialTokens, prompting, syntaxFeatures, ...rest } = info;
  const chat = prompting.chatTemplate !== "";
  if (json) console.log(JSON.stringify({ ...rest, fim: vocabulary.fim, chat }));
  engine.close();
}

async function test({ model, json, ...load }: Options): Promise<void> {
  const engine = await ModelEngine.load(model, load);
  const result = await selfTest(engine, defaultSettings, new AbortController().signal);
  const { speeds, tuning, says } = result;
  console.log(`read     ${Math.round(speeds.read)} tokens/s`);
  console.log(`decode   ${Math.round(speeds.decode)} tokens/s`);
  console.log(`context  ${tuning.contextTokens} tokens, a completion ${tuning.maxTokens} at most`);
  console.log(says.join("\n"));
  if (json) console.log(JSON.stringify(result));
  engine.close();
}

const LONGEST_ANSWER = 1024; // tokens

async function chat(text: string, { model, json, ...load }: Options): Promise<void> {
  const engine = await ModelEngine.load(model, load);
  const { info } = engine;
  const messages = [{ role: "user", content: text }] as const;
  const tokens = await chatPrompt(info, messages, (part, atStart) => engine.encode(part, atStart));
  const maxTokens = Math.min(LONGEST_ANSWER, info.contextTokens - tokens.length);
  if (maxTokens < 1) {
    const sizes = `${tokens.length} tokens, and the context holds ${info.contextTokens}`;
    throw new RingsideError("BAD_REQUEST", `The text is ${sizes}. Shorten it, or set --context.`);
  }
  let shown = 0; // characters
  const generated = await engine.generate(
    { tokens, featuresFrom: tokens.length },
    {
      maxTokens,
      features: [],
      singleLine: false,
      ends: info.prompting.ends,
      until: (whole) => {
        if (!json) process.stdout.write(whole.slice(shown));
        shown = whole.length;
        return null;
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
