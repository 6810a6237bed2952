// The names that stand around a cursor, and in the lines that its block stands in.

import { indentOf } from "../finish";
import { lineStart } from "../lines";

const LINES_BEFORE = 12; // of the cursor
const LINES_AFTER = 4;
const CHARACTERS_BEFORE = 8000; // in which the lines of enclosing blocks are looked for
const CHARACTERS_AFTER = 1000;
const ENCLOSING = 3; // lines of enclosing blocks
const MAX_NAMES = 48;

export interface NameNear {
  readonly name: string;
  /** UTF-16 offset of where it stands nearest. */
  readonly offset: number;
}

interface Line {
  readonly text: string;
  readonly start: number;
}

/** Each name once, the nearest before `offset` first, then those behind it, then those of enclosing blocks. */
export function namesNear(text: string, offset: number): NameNear[] {
  const least = Math.max(0, offset - CHARACTERS_BEFORE);
  const from = Math.max(lineStart(text, least), least - CHARACTERS_BEFORE); // a line may have no end
  const before = linesOf(text.slice(from, offset), from);
  const near = before.slice(-LINES_BEFORE);
  const enclosing = enclosingLines(before.slice(0, -LINES_BEFORE), indentOf(near[0]!.text));
  const after = linesOf(text.slice(offset, offset + CHARACTERS_AFTER), offset);
  const all = [
    ...namesIn(near).reverse(),
    ...namesIn(after.slice(0, LINES_AFTER)),
    ...namesIn(enclosing),
  ];
  const byName = new Map<string, NameNear>();
  for (const one of all) if (!byName.has(one.name)) byName.set(one.name, one);
  return [...byName.values()].slice(0, MAX_NAMES);
}

function linesOf(text: string, start: number): Line[] {
  let at = start;
  return text.split("\n").map((line) => {
    const found = { text: line, start: at };
    at += line.length + 1;
    return found;
  });
}

function namesIn(lines: readonly Line[]): NameNear[] {
  return lines.flatMap(({ text, start }) =>
    Array.from(text.matchAll(/[\p{L}_$][\p{L}\p{N}_$]{2,}/gu), ({ 0: name, index }) => ({
      name,
      offset: start + index,
    })),
  );
}

/** Going up from the last of `lines`, those that are indented less than what they enclose. */
function enclosingLines(lines: readonly Line[], indent: number): Line[] {
  const found: Line[] = [];
  let least = indent;
  for (const line of lines.toReversed()) {
    if (found.length === ENCLOSING || least === 0) break;
    if (line.text.trim() === "" || indentOf(line.text) >= least) continue;
    least = indentOf(line.text);
    found.push(line);
  }
  return found;
}
