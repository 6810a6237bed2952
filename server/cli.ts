// ringside: the engine from the command line.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CompletionCache } from "./cache";
import { type Completion, complete } from "./completion";
import { Context } from "./context";
import { Debounce } from "./debounce";
import { ModelEngine } from "./engine";
import { coded, RingsideError } from "./errors";
import { languageIdOfPath } from "./languages";
import { modelsOptions, modelsUsage, processTerminal, runModels } from "./models/cli";
import { modelsDirectoryIn, resolveModel } from "./models/source";
import { defaultSettings } from "./settings";
import { SyntaxTrees } from "./trees";

const usage = `Usage:
  ringside complete FILE:LINE:COLUMN   the completion there, and what it cost (LINE and COLUMN from 1)
  ringside bench                       tokens a second of reading and of decoding
${modelsUsage}

Options:
  --model MODEL      the model to run, a path or an ID of \`ringside models\`; default: the bundled one
  --threads N        default: one for each physical core
  --backend NAME     auto, reference, avx2, avx512 or neon
  --json             one JSON object as the last line
${modelsOptions}`;

const bundledModel = join(__dirname, "..", "models", "ringside-small");

interface Options {
  readonly model: string;
  readonly threads: number;
  readonly backend: "auto" | "reference" | "avx2" | "avx512" | "neon";
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
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const [command, ...rest] = positionals;
  const options: Options = {
    model: modelAt(values.model),
    threads: wholeNumber("--threads", values.threads),
    backend: backendNamed(values.backend),
    json: values.json,
  };
  if (values.help) console.log(usage);
  else if (command === "complete" && rest.length === 1) await completeAt(rest[0]!, options);
  else if (command === "bench" && rest.length === 0) await bench(options);
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
  const { fileSep } = engine.vocabulary;
  const code = readFileSync(__filename, "utf8").slice(0, 40_000); // any code will do: this program
  const encoded = engine.vocabulary.encode(code);
  const tokens = Uint32Array.from([fileSep, ...Array.from(encoded).slice(0, BENCH_READ - 1)]);
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

main().catch((error: unknown) => {
  const { code, message } = coded(error);
  console.error(`${code}: ${message}`);
  process.exitCode = 1;
});
