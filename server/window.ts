// What of a text the prompt shows: the end of a prefix or the start of a suffix, in whole lines and
// within a budget of tokens, so chosen that typing seldom moves a start.

import { breaksIn } from "./lines";

const STEP = 32; // lines: the prefix's start moves in steps, because moving it means reading anew
const LINE_STEP = 1024; // characters, the same within one very long line
const CUT_SHARE = 0.25; // of the prefix's budget, the same within a line that is longer than it
const MAX_LINE = 4 * LINE_STEP;
const MAX_CHARACTERS = 32; // a token, longer on average than any text's: only bounds the work

/** Text to tokens, and how many they are. Tokens of lines need not be those of the lines together. */
export interface Encoder {
  encode(text: string, atStart: boolean): ArrayLike<number>;
  /** About how many tokens `line` takes; asked again for the same lines with each key. */
  count(line: string): number;
}

/** The last tokens, as many as fit. */
export function tail(tokens: ArrayLike<number>, budget: number): Uint32Array {
  const dropped = Math.max(0, tokens.length - Math.max(0, Math.floor(budget)));
  return Uint32Array.from(tokens).slice(dropped);
}

/** The first tokens, as many as fit. */
export function head(tokens: ArrayLike<number>, budget: number): Uint32Array {
  return Uint32Array.from(tokens).slice(0, Math.max(0, Math.floor(budget)));
}

/** The first lines of the suffix, as many as fit; of a single longer line, its start. */
export function suffixTokens(suffix: string, budget: number, encoder: Encoder): Uint32Array {
  const all = lines(suffix.slice(0, Math.ceil(Math.max(0, budget)) * MAX_CHARACTERS));
  const kept: string[] = [];
  let size = 0;
  for (const line of all) {
    const shown = line.slice(0, MAX_LINE);
    const count = encoder.count(shown);
    if (kept.length > 0 && size + count > budget) break;
    kept.push(shown);
    size += count;
    if (size > budget || line.length > MAX_LINE) break;
  }
  return head(encoder.encode(kept.join(""), false), budget);
}

/**
 * The last lines of the prefix, as many as fit, starting where a block of STEP lines starts, so that
 * the start stays where it is while the cursor goes down a few lines.
 */
export function prefixTokens(prefix: string, budget: number, encoder: Encoder): Uint32Array {
  const reach = Math.max(MAX_LINE, Math.ceil(Math.max(0, budget)) * MAX_CHARACTERS);
  const window = prefix.slice(-reach);
  const before = prefix.slice(0, prefix.length - window.length);
  const all = lines(window);
  let start = firstThatFits(all, budget, encoder);
  while (start < all.length) {
    const from = start + toBlockStart(all, start, before);
    const text = all.slice(from).map(lineTail).join("");
    const tokens = encoder.encode(text, text.length === prefix.length);
    if (tokens.length <= budget) return Uint32Array.from(tokens);
    start = from + 1; // counted by lines it seemed to fit: a block less
  }
  // In steps here too: else each typed character would move the start.
  const last = encoder.encode(lineTail(all[all.length - 1]!), all.length === 1 && before === "");
  const step = Math.max(1, Math.floor(budget * CUT_SHARE));
  const over = Math.ceil((last.length - Math.floor(budget)) / step);
  return tail(last, last.length - over * step);
}

/** The first line from which on all fit by count; all.length if not even the last does. */
function firstThatFits(all: readonly string[], budget: number, encoder: Encoder): number {
  let size = 0;
  let start = all.length;
  while (start > 0) {
    size += encoder.count(lineTail(all[start - 1]!));
    if (size > budget) break;
    start--;
    if (all[start]!.length > MAX_LINE) break;
  }
  return start;
}

/** How many of `all` from `start` on come before the next block of STEP lines; 0 if none starts. */
function toBlockStart(all: readonly string[], start: number, before: string): number {
  if (start === 0 && before === "") return 0;
  let line = breaksIn(before);
  for (let i = 0; i < all.length; i++) {
    const next = line + breaksIn(all[i]!); // a line's break stands at its start
    const starts = Math.floor(next / STEP) !== Math.floor(line / STEP);
    if (i >= start && starts) return i - start;
    line = next;
  }
  return 0;
}

/** The end of a very long line, from a start that moves in steps. */
function lineTail(line: string): string {
  if (line.length <= MAX_LINE) return line;
  return line.slice(Math.ceil((line.length - MAX_LINE) / LINE_STEP) * LINE_STEP);
}

/** `text` in lines, each with the line break before it: few tokenizers join across that place. */
export function lines(text: string): string[] {
  // A run of line breaks is one piece to most tokenizers, so the cut is before its first.
  return text.split(/(?<![\r\n])(?=[\r\n])/);
}
