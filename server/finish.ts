// From what the model wrote to what is proposed: pure functions on text.

import type { Cursor } from "./prompt";

const closerOf: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
const closers = new Set(Object.values(closerOf));
const BALANCE_WINDOW = 4000; // characters around the cursor whose brackets are counted
const LOOK_AHEAD = 12; // following lines that a completion must not repeat

/** What of the cursor's syntax says whether a completion may go on over lines. */
export interface LinePlace {
  readonly inString: boolean;
  readonly inComment: boolean;
  /** In parentheses or brackets, or in a type: where a colon opens no block. */
  readonly inBrackets: boolean;
  /** A colon opens a block. */
  readonly blocksByIndent: boolean;
}

/** A cursor, and what is known of its place; without that, the text decides. */
export interface Spot extends Cursor {
  readonly place?: LinePlace;
  /** What begins a comment that goes on to the end of its line; not given: //. */
  readonly lineComment?: string;
  /** The most lines with text that are proposed; not given: as many as the code asks for. */
  readonly maxLines?: number;
}

/**
 * Whether the cursor's place asks for one line: something stands behind it on its line, it is in a
 * comment or a string, or a statement has begun that opens no block.
 */
export function wantsSingleLine({ prefix, suffix, place }: Spot): boolean {
  const before = lastLine(prefix);
  if (firstLine(suffix).trim() !== "") return true;
  if (place !== undefined && (place.inComment || place.inString)) return true;
  if (before.trim() === "") return false;
  if (/[{([]\s*$|=>\s*$/.test(before)) return false;
  const colonOpens = place === undefined || (place.blocksByIndent && !place.inBrackets);
  return !(colonOpens && /:\s*$/.test(before));
}

/** The most lines with text that are wanted at `cursor`. */
export function mostLines(cursor: Spot): number {
  return wantsSingleLine(cursor) ? 1 : (cursor.maxLines ?? Infinity);
}

/** Why nothing should be proposed at `cursor`, or null. Looks at the text alone. */
export function silentBecause({ suffix }: Pick<Cursor, "suffix">): string | null {
  return /^[\p{L}\p{N}_$]/u.test(suffix) ? "inside a word" : null;
}

/** Whether `text` only closes what is open: a key typed by itself, which Tab should not be taken for. */
export function onlyCloses(text: string): boolean {
  return /^[\s)\]}>'"`;,]*$/.test(text);
}

/**
 * The proposal made of `text`, or "": no trailing white space, nothing that the following lines say
 * already, no closing bracket that has no opening one.
 */
export function finish(text: string, cursor: Spot): string {
  let result = firstLinesWithText(text, mostLines(cursor));
  // What one rule leaves can be another's: without its last space, the end may say what follows.
  for (let before = ""; before !== result; ) {
    before = result;
    result = cutOnce(result, cursor);
  }
  return result;
}

function cutOnce(text: string, cursor: Spot): string {
  let result = cutLoop(text);
  result = dropRepeatedLines(result, cursor);
  result = dropUnbalancedClosers(result, cursor);
  result = dropLineEndOverlap(result.trimEnd(), cursor);
  result = result.trimEnd();
  return result.trim() === "" ? "" : result;
}

/**
 * What to keep of `text` once it is enough, or null while the model should go on. Enough is as many
 * lines as are wanted; else a whole statement or block (`isWhole` asks the syntax, at line ends
 * only), an empty line, a line indented less than the cursor's, one that the file says next, or a
 * loop.
 */
export function wholePart(
  text: string,
  cursor: Spot,
  isWhole: (text: string) => boolean,
): string | null {
  if (loopIn(text) !== null) return text;
  const lines = text.split("\n");
  if (lines.length < 2) return null;
  const last = lines.at(-1)!;
  const written = lines.slice(0, -1).join("\n");
  const withText = lines.slice(0, -1).filter((line) => line.trim() !== "").length;
  if (withText === 0) return null;
  if (withText >= mostLines(cursor)) return written;
  const previous = lines.at(-2)!;
  if (lines.length > 2 && previous.trim() === "") return written;
  if (repeats(previous, cursor.suffix) || saidAgain(lines.slice(0, -1)) > 0) return written;
  if (last.trim() === "") return null; // the next line's indentation says whether the block goes on
  const indent = indentOf(lastLine(cursor.prefix));
  if (indentOf(last) < indent) return closesBlock(last) ? null : written;
  return indentOf(last) === indent && !closesBlock(last) && isWhole(written) ? written : null;
}

const LOOP = /(\S[^\n]{1,15}?)\1{5,}/; // the same two to sixteen characters, six times over

/** What a model goes round in, or null. A row of one character is a line drawn, not a loop. */
function loopIn(text: string): RegExpExecArray | null {
  const loop = LOOP.exec(text);
  return loop === null || new Set(loop[1]).size === 1 ? null : loop;
}

/** Keeps one turn of a loop. */
function cutLoop(text: string): string {
  const loop = loopIn(text);
  if (loop !== null) return text.slice(0, loop.index + loop[1]!.length);
  const lines = text.split("\n");
  return lines.slice(0, lines.length - saidAgain(lines)).join("\n");
}

/**
 * How many lines at the end say again what those before them say: two or more, or one for the third
 * time. The last one may be cut off behind its half. Code has such pairs in tables alone, which have no words.
 */
function saidAgain(lines: readonly string[]): number {
  const said = lines.map((line) => line.trim());
  for (let turn = 1; 2 * turn <= said.length; turn++) {
    const times = turn === 1 ? 3 : 2;
    const all = said.slice(-times * turn);
    if (all.length < times * turn || !/\p{L}{2}/u.test(all.slice(0, turn).join(" "))) continue;
    const isAgain = all.every((line, i) => {
      const first = all[i % turn]!;
      const isCut = turn > 1 && i === all.length - 1 && 2 * line.length >= first.length;
      return isCut ? first.startsWith(line) : line === first;
    });
    if (isAgain) return (times - 1) * turn;
  }
  return 0;
}

/** Whether `line` starts by closing or going on with what came before: `}`, `else`, `except`... */
function closesBlock(line: string): boolean {
  return /^\s*([)\]}]|(else|elif|except|finally|catch|case|default)\b)/.test(line);
}

/** Columns of white space at the start, a tab counted as four. */
export function indentOf(line: string): number {
  const white = /^[ \t]*/.exec(line)![0];
  return white.replace(/\t/g, "    ").length;
}

/** The part of `text` behind its last line break. */
export function lastLine(text: string): string {
  return text.slice(text.lastIndexOf("\n") + 1);
}

function firstLine(text: string): string {
  const end = text.indexOf("\n");
  return (end === -1 ? text : text.slice(0, end)).replace(/\r$/, "");
}

/** `text` up to the end of its `count`th line with text, or all of it. */
function firstLinesWithText(text: string, count: number): string {
  let left = count;
  for (const { 0: line, index } of text.matchAll(/\S[^\n]*/g)) {
    left--;
    if (left === 0) return text.slice(0, index + line.length);
  }
  return text;
}

/** Whether `line` says what one of the next lines of the file says. */
function repeats(line: string, suffix: string): boolean {
  const wanted = line.trim();
  if (!/\w/.test(wanted)) return false; // a bracket alone repeats nothing
  const following = suffix.split("\n", LOOK_AHEAD + 1).slice(1);
  return following.find((candidate) => candidate.trim() !== "")?.trim() === wanted;
}

function dropRepeatedLines(text: string, { suffix }: Cursor): string {
  const lines = text.split("\n");
  const cut = lines.findIndex((line) => repeats(line, suffix));
  if (cut >= 0) return lines.slice(0, cut).join("\n");
  return text;
}

/** Cuts at the first closing bracket that closes nothing: neither here nor what the cursor is within. */
function dropUnbalancedClosers(text: string, spot: Spot): string {
  const { prefix, suffix } = spot;
  const comment = commentIn(spot);
  // A comment's brackets are its own line's, and code's are none of its.
  const [before, behind] =
    comment === null
      ? [lastLine(prefix), firstLine(suffix)]
      : [prefix.slice(-BALANCE_WINDOW), suffix.slice(0, BALANCE_WINDOW)];
  const open = openBrackets(before, behind, comment);
  const stack: string[] = [];
  for (const { at, character } of bracketsOf(text, comment)) {
    const closer = closerOf[character];
    if (closer !== undefined) stack.push(closer);
    else if (stack.length > 0) stack.pop();
    else if (open.at(-1) === character) open.pop();
    else return text.slice(0, at);
  }
  return text;
}

/** What begins a line comment at `spot`; null: it is in a comment, so nothing does. */
function commentIn({ place, lineComment = "//" }: Spot): string | null {
  return place?.inComment === true ? null : lineComment;
}

/** The closers that the prefix still waits for, the next one last, without those that the suffix has. */
function openBrackets(prefix: string, suffix: string, comment: string | null): string[] {
  const waiting: string[] = [];
  for (const { character } of bracketsOf(prefix, comment)) {
    const closer = closerOf[character];
    if (closer !== undefined) waiting.push(closer);
    else if (waiting.at(-1) === character) waiting.pop();
  }
  const closed: string[] = []; // by the suffix, the innermost first
  let depth = 0;
  for (const { character } of bracketsOf(suffix, comment)) {
    if (closerOf[character] !== undefined) depth++;
    else if (depth > 0) depth--;
    else closed.push(character);
  }
  // The suffix closes the outermost first in doubt: what is missing is missing at the cursor.
  const missing = [...waiting];
  for (const character of [...closed].reverse()) {
    const at = missing.indexOf(character);
    if (at >= 0) missing.splice(at, 1);
  }
  return missing;
}

/** The brackets of code, those in strings and behind `comment` left out as well as one line can tell. */
function* bracketsOf(
  text: string,
  comment: string | null,
): Generator<{ at: number; character: string }> {
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === "\\") at++;
    else if (quote !== "") {
      if (character === quote || character === "\n") quote = "";
    } else if (character === '"' || character === "`") quote = character;
    else if (character === "'" && isQuoteStart(text, at)) quote = character;
    else if (comment !== null && text.startsWith(comment, at)) at = endOfLine(text, at);
    else if (closerOf[character] !== undefined || closers.has(character)) yield { at, character };
  }
}

/** An apostrophe behind a letter is not a quote; nor is a Rust lifetime, which no quote closes. */
function isQuoteStart(text: string, at: number): boolean {
  const behind = text[at - 1] ?? "";
  return !/\w/.test(behind) && text.slice(at + 1, endOfLine(text, at)).includes("'");
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}

/** Cuts the end of a line that the rest of the cursor's line says again: ` + b` before ` + b`. */
function dropLineEndOverlap(text: string, spot: Spot): string {
  const rest = firstLine(spot.suffix).trimEnd();
  if (rest === "" || text.includes("\n")) return text;
  for (let size = Math.min(rest.length, text.length); size > 0; size--) {
    const overlap = rest.slice(0, size);
    if (text.endsWith(overlap) && isBalanced(overlap, commentIn(spot)))
      return text.slice(0, text.length - size);
  }
  return text;
}

/** Whether every closing bracket in `text` closes one in it: what is cut must not open what stays. */
function isBalanced(text: string, comment: string | null): boolean {
  let depth = 0;
  for (const { character } of bracketsOf(text, comment)) {
    depth += closerOf[character] === undefined ? -1 : 1;
    if (depth < 0) return false;
  }
  return depth === 0;
}
