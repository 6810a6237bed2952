// From a cursor to the tokens that the model reads: what changes least comes first, so that typing
// appends to the end and nearly all of the prompt has been read already.
//
//   [<|file_sep|> path \n text]...  <|file_sep|> path \n <|fim_suffix|> suffix <|fim_prefix|> prefix <|fim_middle|>

/** A place in a text, by what stands before and behind it. */
export interface Cursor {
  readonly prefix: string;
  readonly suffix: string;
  /** A short path of the file, for the model: its name tells of its contents. */
  readonly path: string;
  readonly languageId: string;
}

/** A piece of another file. */
export interface Snippet {
  readonly path: string;
  readonly text: string;
}

/** How text becomes tokens. */
export interface Vocabulary {
  encode(text: string): ArrayLike<number>;
  readonly fileSep: number;
  readonly fimPrefix: number;
  readonly fimSuffix: number;
  readonly fimMiddle: number;
}

export interface Prompt {
  readonly tokens: Uint32Array;
  /** Index of the first token that takes the cursor's syntax features. */
  readonly featuresFrom: number;
}

const SNIPPET_SHARE = 0.25; // of the budget, for other files
const PATH_SHARE = 0.25; // of the budget: a path's end says most
const SUFFIX_SHARE = 0.25; // of what they leave; the prefix says more of what comes next
const STEP = 32; // lines: the prefix's start moves in steps, because moving it means reading anew
const LINE_STEP = 1024; // characters, the same within one very long line
const CUT_SHARE = 0.25; // of the prefix's budget, the same within a line that is longer than it
const MAX_LINE = 4 * LINE_STEP;

/**
 * The prompt for `cursor` in at most `budget` tokens.
 * Snippets that do not fit are left out, the prefix loses its start, the suffix its end.
 */
export function buildPrompt(
  cursor: Cursor,
  snippets: readonly Snippet[],
  budget: number,
  vocabulary: Vocabulary,
): Prompt {
  const { fileSep, fimPrefix, fimSuffix, fimMiddle } = vocabulary;
  const path = tail(vocabulary.encode(`${cursor.path}\n`), budget * PATH_SHARE);
  const other = snippetTokens(snippets, budget * SNIPPET_SHARE, vocabulary);
  const left = Math.max(0, budget - other.length - path.length - 4);
  const suffix = suffixTokens(cursor.suffix, left * SUFFIX_SHARE, vocabulary);
  const prefix = prefixTokens(cursor.prefix, left - suffix.length, vocabulary);
  const parts = [other, [fileSep], path, [fimSuffix], suffix, [fimPrefix], prefix, [fimMiddle]];
  const tokens = concatenate(parts);
  return { tokens, featuresFrom: tokens.length - 1 };
}

function concatenate(parts: readonly ArrayLike<number>[]): Uint32Array {
  const tokens = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    tokens.set(part, end);
    end += part.length;
  }
  return tokens;
}

/** The last tokens, as many as fit. */
function tail(tokens: ArrayLike<number>, budget: number): Uint32Array {
  const dropped = Math.max(0, tokens.length - Math.max(0, Math.floor(budget)));
  return Uint32Array.from(tokens).slice(dropped);
}

function snippetTokens(
  snippets: readonly Snippet[],
  budget: number,
  vocabulary: Vocabulary,
): Uint32Array {
  const parts: ArrayLike<number>[] = [];
  let size = 0;
  for (const { path, text } of snippets) {
    const head = vocabulary.encode(`${path}\n`);
    const body = concatenate(lines(text).map((line) => vocabulary.encode(line)));
    if (size + 1 + head.length + body.length > budget) continue;
    parts.push([vocabulary.fileSep], head, body);
    size += 1 + head.length + body.length;
  }
  return concatenate(parts);
}

/** The first lines of the suffix, as many as fit; of a single longer line, its start. */
function suffixTokens(suffix: string, budget: number, vocabulary: Vocabulary): Uint32Array {
  const parts: ArrayLike<number>[] = [];
  let size = 0;
  for (const line of linesFrom(suffix, budget)) {
    const tokens = vocabulary.encode(line.slice(0, MAX_LINE));
    if (size + tokens.length > budget) {
      if (parts.length === 0) parts.push(Array.from(tokens).slice(0, Math.max(0, budget)));
      break;
    }
    parts.push(tokens);
    size += tokens.length;
    if (line.length > MAX_LINE) break;
  }
  return concatenate(parts);
}

/**
 * The last lines of the prefix, as many as fit, starting where a block of STEP lines starts, so that
 * the start stays where it is while the cursor goes down a few lines.
 */
function prefixTokens(prefix: string, budget: number, vocabulary: Vocabulary): Uint32Array {
  const reach = Math.max(MAX_LINE, Math.ceil(budget) * MAX_CHARACTERS);
  const window = prefix.slice(-reach);
  const all = lines(window);
  const reversed: ArrayLike<number>[] = []; // the last line first
  let size = 0;
  let start = all.length; // of the lines that fit
  while (start > 0) {
    const tokens = vocabulary.encode(lineTail(all[start - 1]!));
    if (size + tokens.length > budget) break;
    reversed.push(tokens);
    size += tokens.length;
    start--;
    if (all[start]!.length > MAX_LINE) break;
  }
  if (reversed.length === 0) {
    // In steps here too: else each typed character would move the start.
    const last = vocabulary.encode(lineTail(all[start - 1]!));
    const step = Math.max(1, Math.floor(budget * CUT_SHARE));
    return tail(last, last.length - Math.ceil((last.length - Math.floor(budget)) / step) * step);
  }
  const dropped = toBlockStart(all, start, prefix.slice(0, prefix.length - window.length));
  return concatenate(reversed.slice(0, reversed.length - dropped).reverse());
}

/** How many of `all` from `start` on come before the next block of STEP lines; 0 if none starts. */
function toBlockStart(all: readonly string[], start: number, before: string): number {
  if (start === 0 && before === "") return 0;
  let line = countBreaks(before);
  for (let i = 0; i < all.length; i++) {
    const next = line + countBreaks(all[i]!); // a line's break stands at its start
    const starts = Math.floor(next / STEP) !== Math.floor(line / STEP);
    if (i >= start && starts) return i - start;
    line = next;
  }
  return 0;
}

function countBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** The end of a very long line, from a start that moves in steps. */
function lineTail(line: string): string {
  if (line.length <= MAX_LINE) return line;
  return line.slice(Math.ceil((line.length - MAX_LINE) / LINE_STEP) * LINE_STEP);
}

/** `text` in lines, each with the line break before it: the tokenizer never joins across that place. */
export function lines(text: string): string[] {
  // A run of line breaks is one piece to the tokenizer, so the cut is before its first.
  return text.split(/(?<![\r\n])(?=[\r\n])/);
}

/** The lines of the start of `text` that `budget` tokens can hold at all: the rest is not split. */
function linesFrom(text: string, budget: number): string[] {
  return lines(text.slice(0, Math.ceil(budget) * MAX_CHARACTERS));
}

const MAX_CHARACTERS = 32; // longer on average than any text's: only bounds the work
