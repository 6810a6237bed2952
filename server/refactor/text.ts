// Places in a text, and the white space of code: what a model is shown and what it answers stand at
// the margin; the target stands where it stands.

import { lineEnd, positionOf } from "../lines";
import type { TextPosition, TextRange } from "../protocol";

/** UTF-16 offsets into a text, the end not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The offset of `position`; of one beyond a line's or the text's end, that end. */
export function offsetOf(text: string, { line, character }: TextPosition): number {
  let start = 0;
  for (let i = 0; i < line; i++) {
    const end = text.indexOf("\n", start);
    if (end === -1) return text.length;
    start = end + 1;
  }
  return Math.min(start + character, lineEnd(text, start));
}

export function rangeOf(text: string, { start, end }: Span): TextRange {
  return { start: positionOf(text, start), end: positionOf(text, end) };
}

/** The line break that most of `text`'s lines end with. */
export function lineBreakOf(text: string): "\n" | "\r\n" {
  const windows = text.split("\r\n").length - 1;
  const all = text.split("\n").length - 1;
  return windows * 2 > all ? "\r\n" : "\n";
}

export const blank = (line: string) => line.trim() === "";
const whiteOf = (line: string) => /^[ \t]*/.exec(line)![0];

/** The white space that all lines of `text` begin with, blank ones aside. */
export function commonIndent(text: string): string {
  let common: string | null = null;
  for (const line of text.split("\n")) {
    if (blank(line)) continue;
    const white = whiteOf(line);
    if (common === null) common = white;
    while (!white.startsWith(common)) common = common.slice(0, -1);
    if (common === "") break;
  }
  return common ?? "";
}

/** `text` moved to the margin. */
export function dedent(text: string): string {
  const { length } = commonIndent(text);
  if (length === 0) return text;
  return text
    .split("\n")
    .map((line) =>
      blank(line) ? line.slice(Math.min(length, whiteOf(line).length)) : line.slice(length),
    )
    .join("\n");
}

/** `code` moved to where `like` stands, and indented by tabs or by spaces as that is. */
export function indentLike(code: string, like: string): string {
  const indent = commonIndent(like);
  return restep(dedent(code), stepOf(like))
    .split("\n")
    .map((line) => (blank(line) ? line : indent + line))
    .join("\n");
}

/** What one level of `text` is indented by; null: nothing in it tells. */
function stepOf(text: string): string | null {
  const whites = text
    .split("\n")
    .filter((line) => !blank(line))
    .map(whiteOf);
  if (whites.some((white) => white.startsWith("\t"))) return "\t";
  const sizes = whites.map(({ length }) => length);
  const steps = sizes.slice(1).map((size, i) => Math.abs(size - sizes[i]!));
  const least = Math.min(...[...steps, ...sizes].filter((size) => size > 1));
  return Number.isFinite(least) ? " ".repeat(least) : null;
}

/** Tabs for `code`'s levels where `step` is one, spaces where it is spaces and `code` has tabs. */
function restep(code: string, step: string | null): string {
  const own = stepOf(code);
  if (step === null || own === null || (step === "\t") === (own === "\t")) return code;
  const levels = new RegExp(`^(?:${own})+`, "gm");
  return code.replace(levels, (white) => step.repeat(white.length / own.length));
}
