// How sure the model is against how often it is right: places of real files, the first line that is
// written there against the one that stands there.
//
//   node --import tsx test/bench/confidence.ts [--places N] [--model PATH]

import { parseArgs } from "node:util";
import { join } from "node:path";
import { CompletionCache } from "../../server/cache";
import { complete } from "../../server/completion";
import { confidenceOf } from "../../server/confidence";
import { Context } from "../../server/context/context";
import { Debounce } from "../../server/debounce";
import { ModelEngine } from "../../server/engine";
import { onlyCloses } from "../../server/finish";
import { LookAhead } from "../../server/lookahead";
import { defaultSettings } from "../../server/settings";
import { SyntaxTrees } from "../../server/trees";
import { corpus, randomNumbers, type SourceFile } from "./corpus";

const { values } = parseArgs({
  options: {
    places: { type: "string", default: "3000" },
    model: { type: "string", default: join(__dirname, "../../models/ringside-small") },
  },
});

interface Sample {
  readonly sure: number;
  /** Whether the line that stands there starts with what was written. */
  readonly kept: boolean;
}

/** A place where people type: somewhere behind a line's indentation, the rest of the line taken out. */
function placeIn(
  { text }: SourceFile,
  random: () => number,
): { offset: number; end: number } | null {
  const start = text.lastIndexOf("\n", Math.floor(random() * text.length)) + 1;
  const next = text.indexOf("\n", start);
  const end = next === -1 ? text.length : next;
  const line = text.slice(start, end);
  if (line.trim().length < 4) return null;
  const indent = line.length - line.trimStart().length;
  const offset = start + indent + Math.floor(random() * (line.length - indent));
  return { offset, end };
}

async function samples(): Promise<Sample[]> {
  const engine = await ModelEngine.load(values.model, { contextTokens: 4096 });
  const files = corpus();
  const random = randomNumbers(1);
  const settings = { ...defaultSettings, disabledLanguages: [], eagerness: "always" as const };
  const found: Sample[] = [];
  const { signal } = new AbortController();
  for (let i = 0; i < Number(values.places); i++) {
    const file = files[Math.floor(random() * files.length)]!;
    const place = placeIn(file, random);
    if (place === null) continue;
    const truth = file.text.slice(place.offset, place.end).trimEnd();
    const text = file.text.slice(0, place.offset) + file.text.slice(place.end);
    const services = {
      ...{ settings, engine, tuning: null, cache: new CompletionCache(), context: new Context() },
      ...{ trees: new SyntaxTrees(), debounce: new Debounce(), lookAhead: new LookAhead() },
    };
    const document = { uri: `file:///${file.path}`, languageId: file.languageId, version: 1, text };
    const request = { document, offset: place.offset, others: [], invoked: true };
    const { written, calls } = await complete(services, request, signal);
    const first = /^\s*[^\n]*/.exec(written)![0].trimEnd();
    if (calls[0] === undefined || first === "" || onlyCloses(written)) continue;
    const sure = confidenceOf(calls[0].generated.tokens, 0, written.length);
    found.push({ sure, kept: truth.startsWith(first) });
  }
  engine.close();
  return found;
}

/** The chance that of a kept and another one, the kept one is thought surer. */
function auc(rows: readonly Sample[]): number {
  const sorted = [...rows].sort((a, b) => a.sure - b.sure);
  let lower = 0;
  let pairs = 0;
  for (const { kept } of sorted) {
    if (kept) pairs += lower;
    else lower++;
  }
  return pairs / (lower * (rows.length - lower));
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const edges = [0, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1.001]; // the setting's steps among them

async function main(): Promise<void> {
  const all = await samples();
  const keptShare = (rows: readonly Sample[]) =>
    rows.length === 0 ? "" : percent(rows.filter(({ kept }) => kept).length / rows.length);
  console.log(`${all.length} places, kept ${keptShare(all)}, AUC ${auc(all).toFixed(3)}\n`);
  console.log("| Thought | Places | Mean thought | Kept | Places from here on | Kept of those |");
  console.log("|---|---|---|---|---|---|");
  edges.slice(0, -1).forEach((low, i) => {
    const high = edges[i + 1]!;
    const bin = all.filter(({ sure }) => sure >= low && sure < high);
    const above = all.filter(({ sure }) => sure >= low);
    const mean =
      bin.length === 0 ? "" : percent(bin.reduce((sum, { sure }) => sum + sure, 0) / bin.length);
    const range = `${percent(low)} to ${percent(Math.min(1, high))}`;
    const cells = [range, bin.length, mean, keptShare(bin), above.length, keptShare(above)];
    console.log(`| ${cells.join(" | ")} |`);
  });
}

void main();
