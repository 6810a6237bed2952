// Turns documents into training samples: windows, most with a middle cut out, and for each cut the
// cursor's syntax features by the server's own functions, on the text as it is without the middle.
//
//   tsx training/samples.ts corpus.jsonl samples.jsonl SPLIT SEED [SHARD SHARDS]
//
// A line out: {path, language, text} or {path, language, prefix, middle, suffix, kind, features}.

import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import type Parser from "tree-sitter";
import { cursorSyntax, parse } from "../server/syntax";

// The share of each language's documents that is used, so that no language drowns the others.
const KEEP: Readonly<Record<string, number>> = { python: 0.4, javascript: 0.6, cpp: 0.5, go: 0.5 };
const FIM_SHARE = 0.7; // of windows; the rest is read left to right, and fills the rows' gaps
const WINDOW = 6500; // characters, about 2,000 tokens
// Of the windows: a shorter one has as long a middle, so that of all tokens more are of middles.
const SHORT_SHARE = 0.6;
const MIN_WINDOW = 200;
const MAX_NODE = 600; // characters of a node to be filled in

interface Document {
  readonly id: number;
  readonly split: string;
  readonly path: string;
  readonly language: string;
  readonly text: string;
}

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly kind: "line" | "node" | "lines" | "random";
}

/** A small generator with a seed, so that samples can be made again (Steele, SplitMix32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** The VS Code language id behind a corpus language: JSX and TSX have grammars of their own. */
function languageIdOf({ language, path }: Document): string {
  if (path.endsWith(".tsx")) return "typescriptreact";
  return language;
}

/** Windows of whole lines, of random lengths so that the model sees short files as well. */
function* windowsOf(text: string, random: () => number): Generator<[number, number]> {
  for (let start = 0; start < text.length; ) {
    const size = WINDOW * (random() < SHORT_SHARE ? 0.1 + 0.9 * random() : 1);
    let end = text.lastIndexOf("\n", start + size) + 1;
    if (end <= start || start + size >= text.length) end = text.length;
    if (end - start >= MIN_WINDOW) yield [start, end];
    start = end;
  }
}

const cuts = {
  /** From a cursor in a line to its end: the commonest completion. */
  line(text: string, at: number): Cut {
    const end = text.indexOf("\n", at);
    return { start: at, end: end === -1 ? text.length : end, kind: "line" };
  },
  /** A syntactic node around `at`, from a token up to a block. */
  node(text: string, at: number, tree: Parser.Tree, random: () => number): Cut {
    let node = tree.rootNode.descendantForIndex(at);
    for (let up = Math.floor(random() * 5); up > 0; up--) {
      const { parent } = node;
      if (parent === null || parent.endIndex - parent.startIndex > MAX_NODE) break;
      node = parent;
    }
    const size = node.endIndex - node.startIndex;
    if (size === 0 || size > MAX_NODE) return cuts.line(text, at);
    return { start: node.startIndex, end: node.endIndex, kind: "node" };
  },
  /** From a cursor over the next lines. */
  lines(text: string, at: number, random: () => number): Cut {
    let end = at;
    for (let count = 1 + Math.floor(random() * 5); count > 0 && end !== -1; count--) {
      end = text.indexOf("\n", end + 1);
    }
    return { start: at, end: end === -1 ? text.length : end, kind: "lines" };
  },
  random(text: string, at: number, random: () => number): Cut {
    const end = Math.min(text.length, at + 1 + Math.floor(random() ** 2 * 400));
    return { start: at, end, kind: "random" };
  },
};

function cutIn(
  text: string,
  [from, to]: [number, number],
  tree: Parser.Tree,
  random: () => number,
): Cut | null {
  const at = from + Math.floor(random() * (to - from));
  const draw = random();
  let cut = cuts.random(text, at, random);
  if (draw < 0.4) cut = cuts.line(text, at);
  else if (draw < 0.7) cut = cuts.node(text, at, tree, random);
  else if (draw < 0.85) cut = cuts.lines(text, at, random);
  if (cut.start < from || cut.end > to || text.slice(cut.start, cut.end).trim() === "") return null;
  return splitsCharacter(text, cut.start) || splitsCharacter(text, cut.end) ? null : cut;
}

function splitsCharacter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff;
}

function* samplesOf(document: Document, random: () => number): Generator<object> {
  const { text, path, language } = document;
  const languageId = languageIdOf(document);
  const tree = parse(languageId, text);
  if (tree === null) return;
  for (const [from, to] of windowsOf(text, random)) {
    const cut = random() < FIM_SHARE ? cutIn(text, [from, to], tree, random) : null;
    if (cut === null) {
      yield { path, language, text: text.slice(from, to) };
      continue;
    }
    const { start, end, kind } = cut;
    const without = text.slice(0, start) + text.slice(end);
    const { features } = cursorSyntax(languageId, parse(languageId, without), without, start);
    const prefix = text.slice(from, start);
    yield {
      ...{ path, language, prefix, middle: text.slice(start, end), suffix: text.slice(end, to) },
      ...{ kind, features },
    };
  }
}

async function main(): Promise<void> {
  const [input, output, split, seed, shard = "0", shards = "1"] = process.argv.slice(2);
  if (input === undefined || output === undefined || split === undefined || seed === undefined) {
    throw new Error(`Usage: ${basename(__filename)} IN OUT SPLIT SEED [SHARD SHARDS]`);
  }
  const out = createWriteStream(output);
  for await (const line of createInterface({ input: createReadStream(input) })) {
    const document = JSON.parse(line) as Document;
    if (document.split !== split || document.id % Number(shards) !== Number(shard)) continue;
    const random = randomFrom(Number(seed) * 1_000_003 + document.id);
    if (split === "train" && random() > (KEEP[document.language] ?? 1)) continue;
    for (const sample of samplesOf(document, random)) {
      const hasRoom = out.write(`${JSON.stringify(sample)}\n`);
      if (!hasRoom) await once(out, "drain");
    }
  }
  out.end();
}

void main();
