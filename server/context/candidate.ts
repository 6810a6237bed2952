// What a source proposes to show beside the file: a part of another file, as text.

import type { OpenDocument } from "../document";
import type { Snippet } from "../prompt";

export interface Candidate extends Snippet {
  /** The file's URI, or its path where it is not open: one name for one file. */
  readonly file: string;
  /** The first line and the one after the last, counted from 0; null: lines from here and there. */
  readonly range: LineRange | null;
}

export interface LineRange {
  readonly start: number;
  readonly end: number;
}

export function overlap(a: LineRange, b: LineRange): boolean {
  return a.start < b.end && b.start < a.end;
}

/** Dialects of one language: javascript, typescriptreact... */
export function sameFamily(a: string, b: string): boolean {
  return family(a) === family(b);
}

function family(languageId: string): string {
  if (languageId === "cpp") return "c";
  return languageId.replace(/react$/, "").replace("type", "java");
}

/** The words of a text that mean something. */
export function wordsOf(text: string): Set<string> {
  return new Set(text.match(/[A-Za-z_]\w{2,}/g) ?? []);
}

/** |a ∩ b| / |a ∪ b| */
export function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let common = 0;
  for (const word of a) if (b.has(word)) common++;
  return common === 0 ? 0 : common / (a.size + b.size - common);
}

/**
 * Lines `start` to `end` of a text, without blank ones at either side, and without blanks at their ends: those are
 * of a line that was left half written, and would say that such a line ends there.
 */
export function textOf(lines: readonly string[], { start, end }: LineRange): string {
  return `${lines
    .slice(Math.max(0, start), end)
    .map((line) => line.trimEnd())
    .join("\n")
    .replace(/^\s*\n|\s+$/g, "")}\n`;
}

/** The first `count` lines: what lies behind them may be very long. */
export function linesOf(document: OpenDocument, count: number): string[] {
  return document.text.split(/\r\n?|\n/, count);
}
