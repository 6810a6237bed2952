// What the context of completions is worth, and what it costs: `node --expose-gc --import tsx
// test/bench/context.ts [--places N] [--covered N] [--seed N] [--model PATH] [--json]`.
//
// Places are lines that were really written: from this repository's history, with the commit's other
// files open and just edited as the commit did; and from installed packages that the bundled model was
// not trained on, with three files of the same package open, chosen at random. At each the model says
// how probable the rest of the line and the next line are, after each choice of snippets.

import { cpSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { cursorAt } from "../../server/completion";
import { Context, defaultWeights, type Weights } from "../../server/context/context";
import { uriOf } from "../../server/context/paths";
import { isSourcePath, languageIdOf } from "../../server/context/source";
import type { OpenDocument } from "../../server/document";
import { ModelEngine } from "../../server/engine";
import { languages } from "../../server/languages";
import { buildPrompt, type Snippet, snippetTokensOf, type Vocabulary } from "../../server/prompt";
import { parse, syntaxAt } from "../../server/syntax";
import { randomNumbers } from "./corpus";
import { type Place, WrittenPlaces } from "./written_places";

const root = join(__dirname, "..", "..");
const packages = [
  "htmlparser2/src",
  "@secretlint/core",
  "jszip/lib",
  "diff/libesm",
  "domutils/lib",
];
const PROMPT_TOKENS = 2048; // the default

const { values } = parseArgs({
  options: {
    places: { type: "string", default: "24" },
    covered: { type: "string", default: "0" }, // further places, without the model
    seed: { type: "string", default: "1" },
    model: { type: "string", default: join(root, "models", "ringside-small") },
    json: { type: "boolean", default: false },
  },
});

const random = randomNumbers(Number(values.seed));
const written = new WrittenPlaces(random);

const off = (...sources: (keyof Weights)[]): Weights => ({
  ...defaultWeights,
  ...Object.fromEntries(sources.map((source) => [source, 0])),
});
const choices: Readonly<Record<string, Weights>> = {
  "tabs alone": off("edit", "visited", "import", "definition", "symbol"),
  all: defaultWeights,
  "all alike": { tab: 1, edit: 1, visited: 1, import: 1, definition: 1, symbol: 1 },
  "without tabs": off("tab"),
  "without edits": off("edit"),
  "without visited": off("visited"),
  "without imports": off("import"),
  "without symbols": off("symbol"),
};

const documentOf = (path: string, text: string, version = 1): OpenDocument => ({
  uri: uriOf(path),
  languageId: languageIdOf(path, text),
  version,
  text,
});

/** The snippets of a fresh visit to the place, after the other files were opened, edited and seen. */
async function snippetsAt(
  context: Context,
  place: Place,
  text: string,
  offset: number,
  vocabulary: Vocabulary,
) {
  const { target, others } = place;
  const document = documentOf(target.path, text);
  const ask = (asked: OpenDocument, at: number, tabs: readonly OpenDocument[]) =>
    context.gather({
      ...{ document: asked, offset: at, others: tabs, count: vocabulary.count },
      ...{ promptTokens: PROMPT_TOKENS, budgetTokens: snippetTokensOf({ tokens: PROMPT_TOKENS }) },
    });
  const open: OpenDocument[] = [];
  for (const { path, before, after, line } of others) {
    context.changed(documentOf(path, before));
    const edited = documentOf(path, after, 2);
    context.changed(edited);
    ask(edited, after.split("\n").slice(0, line).join("\n").length, open);
    open.unshift(edited);
  }
  context.changed(document);
  await settled(context);
  const snippets = ask(document, offset, open);
  for (const { uri } of [document, ...open]) context.closed(uri);
  return snippets;
}

interface Scores {
  /** Mean natural log probabilities of a token; NaN without the model. */
  readonly line: number;
  readonly next: number;
  /** Of the identifiers in both lines that the file has nowhere else, those that the snippets have. */
  readonly covered: number;
  readonly unknown: number;
  readonly snippets: readonly Snippet[];
}

const identifiersIn = (text: string) => new Set(text.match(/[A-Za-z_]\w{2,}/g) ?? []);

async function scoresAt(
  engine: ModelEngine,
  isScored: boolean,
  place: Place,
  snippetsOf: Readonly<Record<string, Context>>,
) {
  const { after, line, path } = place.target;
  const lines = after.split("\n");
  const written = lines[line]!;
  const offset =
    lines.slice(0, line).join("\n").length + 1 + Math.ceil(written.length * (0.3 + 0.4 * random()));
  const rest = after.slice(offset, after.indexOf("\n", offset));
  const next = `\n${lines[line + 1] ?? ""}`;
  const text = after.slice(0, offset) + after.slice(offset + rest.length + next.length);
  const document = documentOf(path, text);
  const { features } = syntaxAt(document.languageId, text, offset);
  const { vocabulary } = engine;
  const [restTokens, nextTokens] = [engine.encode(rest, false), engine.encode(next, false)];
  const own = identifiersIn(text);
  const unknown = [...identifiersIn(rest + next)].filter((name) => !own.has(name));
  const scored = new Map<string, Pick<Scores, "line" | "next">>(); // choices are often the same
  const score = async (snippets: readonly Snippet[]): Promise<Scores> => {
    const seen = identifiersIn(snippets.map((snippet) => snippet.text).join(" "));
    const covered = unknown.filter((name) => seen.has(name)).length;
    const counts = { covered, unknown: unknown.length, snippets };
    if (!isScored) return { line: Number.NaN, next: Number.NaN, ...counts };
    const { tokens, featuresFrom } = buildPrompt(
      cursorAt(document, offset),
      snippets,
      { tokens: PROMPT_TOKENS },
      vocabulary,
    );
    const key = tokens.join();
    let known = scored.get(key);
    if (known === undefined) {
      const all = Uint32Array.from([...tokens, ...restTokens, ...nextTokens]);
      const logs = Array.from(await engine.score(all, featuresFrom, features)).slice(
        tokens.length - 1,
      );
      const mean = (some: readonly number[]) =>
        some.reduce((sum, log) => sum + log, 0) / Math.max(1, some.length);
      known = {
        line: mean(logs.slice(0, restTokens.length)),
        next: mean(logs.slice(restTokens.length)),
      };
      scored.set(key, known);
    }
    return { ...known, ...counts };
  };
  const scores: Record<string, Scores> = { none: await score([]) };
  for (const [name, context] of Object.entries(snippetsOf)) {
    scores[name] = await score(await snippetsAt(context, place, text, offset, vocabulary));
  }
  return scores;
}

/** What was opened or edited has been looked at. */
async function settled(context: Context | null): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
  await context?.idle();
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
const round = (value: number, digits = 3) => Number(value.toFixed(digits));

/** What forgetting the index sets free. NaN without --expose-gc. */
async function heldBytes(context: Context): Promise<number> {
  if (globalThis.gc === undefined) return Number.NaN;
  globalThis.gc();
  const held = process.memoryUsage().heapUsed;
  context.useFolders([]);
  await context.idle();
  globalThis.gc();
  return held - process.memoryUsage().heapUsed;
}

/** How fast the repository is indexed, what that takes, and for how long it holds up other events. */
async function measureIndex() {
  for (const { id } of languages) parse(id, ""); // a grammar takes some 50 ms to load, once
  const context = new Context();
  const start = performance.now();
  const late: number[] = [];
  let last = start;
  const timer = setInterval(() => {
    late.push(performance.now() - last - 1);
    last = performance.now();
  }, 1);
  context.useFolders([root]);
  await context.idle();
  const ms = performance.now() - start;
  clearInterval(timer);
  const { files, definitions, bytes } = context.statistics;
  late.sort((a, b) => a - b);
  const result = {
    files,
    definitions,
    filesPerSecond: round((1000 * files) / ms, 0),
    bytesPerFileEstimated: round(bytes / files, 0),
    heapBytesPerFile: round((await heldBytes(context)) / files, 0),
    lateMsP95: round(quantile(late, 0.95), 1),
    lateMsP99: round(quantile(late, 0.99), 1),
    lateMsMost: round(late.at(-1)!, 1),
  };
  context.useFolders([root]);
  await context.idle();
  return { context, result };
}

/** Typing in three files in turns: how long gather takes with a key, and what of each prompt was read before. */
async function replay(context: Context | null, vocabulary: Vocabulary, paths: readonly string[]) {
  const texts = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  let before = new Uint32Array();
  let [total, reused, keys] = [0, 0, 0];
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (const path of paths) {
      for (const share of [0.3, 0.6]) {
        const lines = texts.get(path)!.split("\n");
        const at = lines.slice(0, Math.floor(lines.length * share) + 3 * round).join("\n").length;
        const typed = `\n  const found = this.entries.get(key${round}) ?? none;`;
        for (let i = 0; i <= typed.length; i++) {
          if (i === 2) await settled(context); // a user needs longer for a key
          const text =
            texts.get(path)!.slice(0, at) + typed.slice(0, i) + texts.get(path)!.slice(at);
          const document = documentOf(join(root, path), text, keys++);
          const others = paths
            .filter((other) => other !== path)
            .map((other) => documentOf(join(root, other), texts.get(other)!));
          const request = { document, offset: at + i, others, count: vocabulary.count };
          const budget = { tokens: 2048 };
          context?.changed(document);
          const start = performance.now();
          const snippets =
            context?.gather({
              ...request,
              promptTokens: budget.tokens,
              budgetTokens: snippetTokensOf(budget),
            }) ?? [];
          times.push(performance.now() - start);
          const { tokens } = buildPrompt(cursorAt(document, at + i), snippets, budget, vocabulary);
          let same = 0;
          while (same < Math.min(before.length, tokens.length) && before[same] === tokens[same])
            same++;
          total += tokens.length;
          reused += same;
          before = tokens as Uint32Array<ArrayBuffer>;
        }
        texts.set(path, texts.get(path)!.slice(0, at) + typed + texts.get(path)!.slice(at));
      }
    }
  }
  times.sort((a, b) => a - b);
  return {
    reusedShare: round3(reused / total),
    keys,
    p50Ms: round3(quantile(times, 0.5)),
    p95Ms: round3(quantile(times, 0.95)),
  };
}

/** How long a choice takes: going through the server's files, each visit a new one. */
async function measureChoices(context: Context, vocabulary: Vocabulary) {
  const paths = written.shuffled(
    readdirSync(join(root, "server"), { recursive: true, encoding: "utf8" })
      .map((path) => join(root, "server", path))
      .filter(isSourcePath),
  );
  const files = paths.map((path) => documentOf(path, readFileSync(path, "utf8")));
  for (const file of files) context.changed(file);
  await settled(context);
  const budget = { tokens: PROMPT_TOKENS };
  const sizes = { promptTokens: budget.tokens, budgetTokens: snippetTokensOf(budget) };
  const times: number[] = [];
  for (let round = 0; round < 4; round++) {
    for (const [i, document] of files.entries()) {
      const others = files.filter((_, other) => other !== i).slice(0, 6);
      const offset = Math.floor(document.text.length * random());
      const start = performance.now();
      context.gather({ document, offset, others, count: vocabulary.count, ...sizes });
      if (round > 0) times.push(performance.now() - start); // the first round warms up
    }
  }
  times.sort((a, b) => a - b);
  const [p50Ms, p95Ms] = [quantile(times, 0.5), quantile(times, 0.95)].map(round3);
  return { choices: times.length, p50Ms, p95Ms };
}

const round3 = (value: number) => round(value, 3);

async function main(): Promise<void> {
  const temporary = realpathSync(mkdtempSync(join(tmpdir(), "ringside-bench-")));
  const folders = packages.map((name) => {
    const folder = join(temporary, name.replace(/\W/g, "-"));
    cpSync(realpathSync(join(root, "node_modules", name)), folder, {
      recursive: true,
      filter: (path) =>
        !["node_modules", "test", "__tests__"].includes(basename(path)) || path === folder,
    });
    return folder;
  });
  const engine = await ModelEngine.load(values.model);
  const { context, result: index } = await measureIndex();
  console.log("index", index);
  const edited = ["server/session.ts", "server/completion.ts", "server/engine.ts"];
  const prefixFirst: Vocabulary = {
    ...engine.vocabulary,
    fim: { ...engine.vocabulary.fim!, suffixFirst: false },
  };
  console.log("choices", await measureChoices(context, engine.vocabulary));
  console.log("replay, suffix first", await replay(context, engine.vocabulary, edited));
  console.log("replay, prefix first", await replay(context, prefixFirst, edited));
  console.log(
    "replay without context, suffix first",
    (await replay(null, engine.vocabulary, edited)).reusedShare,
  );
  console.log(
    "replay without context, prefix first",
    (await replay(null, prefixFirst, edited)).reusedShare,
  );
  context.close();

  const contexts = Object.fromEntries(
    Object.entries(choices).map(([name, weights]) => [name, new Context({ weights })]),
  );
  for (const one of Object.values(contexts)) one.useFolders([root, ...folders]);
  await Promise.all(Object.values(contexts).map((one) => one.idle()));
  const [count, further] = [Number(values.places) / 2, Number(values.covered) / 2];
  const places = {
    history: written.ofHistory(count + further),
    packages: written.ofPackages(folders, count + further),
  };
  const rows: { set: string; scores: Record<string, Scores> }[] = [];
  for (const [set, list] of Object.entries(places)) {
    for (const [i, place] of list.entries()) {
      rows.push({ set, scores: await scoresAt(engine, i < count, place, contexts) });
    }
  }
  if (values.json) {
    for (const { set, scores } of rows) {
      const flat = Object.entries(scores).map(([name, { line, next, snippets }]) => [
        name,
        { line: round3(line), next: round3(next), snippets: snippets.map(({ source }) => source) },
      ]);
      console.log(JSON.stringify({ set, ...Object.fromEntries(flat) }));
    }
  }
  for (const set of Object.keys(places)) {
    const own = rows.filter((row) => row.set === set).map((row) => row.scores);
    console.log(`${set}: ${own.length} places`);
    for (const name of Object.keys(own[0] ?? {})) console.log(summary(name, own));
  }
  for (const one of Object.values(contexts)) one.close();
  engine.close();
  rmSync(temporary, { recursive: true });
}

/** A choice's means, its gains over no snippets with their standard errors, and what it covers. */
function summary(name: string, places: readonly Record<string, Scores>[]): string {
  const mean = (list: readonly number[]) => sum(list) / list.length;
  const scored = places.filter((scores) => !Number.isNaN(scores.none!.line));
  const cells = (["line", "next"] as const).map((kind) => {
    const gains = scored.map((scores) => scores[name]![kind] - scores.none![kind]);
    const error = Math.sqrt(mean(gains.map((gain) => (gain - mean(gains)) ** 2)) / gains.length);
    const all = mean(scored.map((scores) => scores[name]![kind]));
    return `${all.toFixed(3)} | ${mean(gains).toFixed(4)} ± ${error.toFixed(4)}`;
  });
  const covered = sum(places.map((scores) => scores[name]!.covered));
  const unknown = sum(places.map((scores) => scores[name]!.unknown));
  const share = `${((100 * covered) / unknown).toFixed(1)} % of ${unknown}`;
  const shown = mean(places.map((scores) => scores[name]!.snippets.length));
  return `| ${name} | ${cells.join(" | ")} | ${share} | ${shown.toFixed(1)} |`;
}

const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);

void main();
