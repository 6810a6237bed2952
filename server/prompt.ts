// From a cursor to the tokens that the model reads: as the model was trained, and as far as that
// allows what changes least first, so that nearly all of the prompt has been read already.

import type { Fim } from "./fim";
import { type Encoder, prefixTokens, suffixTokens, tail } from "./window";

/** A place in a text, by what stands before and behind it. */
export interface Cursor {
  readonly prefix: string;
  readonly suffix: string;
  /** A short path of the file, for the model: its name tells of its contents. */
  readonly path: string;
  readonly languageId: string;
}

/** Where a snippet was found, and so why it is shown. */
export type SnippetSource = "tab" | "edit" | "visited" | "import" | "definition" | "symbol";

/** A piece of another file. */
export interface Snippet {
  readonly source: SnippetSource;
  readonly path: string;
  readonly text: string;
}

/** How text becomes tokens, and which of them mean something. */
export interface Vocabulary extends Encoder {
  /** Stands before every prompt; null: nothing does. */
  readonly bos: number | null;
  /** null: the model can't fill in the middle, and completes by going on. */
  readonly fim: Fim | null;
  /** How many of these make one token of the model's; not given: they are the model's own. */
  readonly perModelToken?: number;
}

export interface Budget {
  /** Tokens of the whole prompt. */
  readonly tokens: number;
  /** The most for the suffix, where it is read again with each key; none: no such limit. */
  readonly rereadTokens?: number;
}

/** A stretch of the prompt's tokens, for "Why this suggestion?". */
export interface PromptPart {
  readonly kind: "snippet" | "path" | "suffix" | "prefix";
  /** Of a snippet: where it comes from. */
  readonly source: SnippetSource | null;
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

export interface PromptTokens {
  readonly tokens: Uint32Array;
  /** Index of the first token that takes the cursor's syntax features. */
  readonly featuresFrom: number;
  /** In the order of the tokens; special tokens are in none. */
  readonly parts?: readonly PromptPart[];
}

export interface Prompt extends PromptTokens {
  readonly parts: readonly PromptPart[];
}

const SNIPPET_SHARE = 0.25; // of the budget, for other files
const PATH_SHARE = 0.25; // of the budget: a path's end says most
const SUFFIX_SHARE = 0.25; // of what they leave; the prefix says more of what comes next
const SPECIALS = 6; // tokens at most that are not text: bos, repository, file, and three of the FIM

/** Tokens, and what they are if that is worth telling. */
interface Part {
  readonly tokens: ArrayLike<number>;
  readonly is?: Pick<PromptPart, "kind" | "path"> & { readonly source?: SnippetSource };
}

const special = (...tokens: readonly (number | null)[]): Part => ({
  tokens: tokens.filter((token) => token !== null),
});

/** Tokens of `budget` that snippets may take. */
export function snippetTokensOf(budget: Budget): number {
  return Math.floor(budget.tokens * SNIPPET_SHARE);
}

/** How many of the model's tokens a text takes, and about how many a line does. */
export interface Sizes {
  readonly ofText: (text: string) => number;
  readonly ofLine: (line: string) => number;
}

export function sizesIn(vocabulary: Vocabulary): Sizes {
  const { perModelToken = 1 } = vocabulary;
  return {
    ofText: (text) => Math.ceil(vocabulary.encode(text, false).length / perModelToken),
    ofLine: (line) => vocabulary.count(line) / perModelToken,
  };
}

/** `budget`, which counts the model's tokens, in those of `vocabulary`. */
function inVocabulary(budget: Budget, { perModelToken = 1 }: Vocabulary): Budget {
  const { tokens, rereadTokens } = budget;
  return {
    tokens: tokens * perModelToken,
    ...(rereadTokens !== undefined && { rereadTokens: rereadTokens * perModelToken }),
  };
}

/**
 * The prompt for `cursor` within a budget. Snippets that do not fit are left out, the prefix loses
 * its start, the suffix its end.
 */
export function buildPrompt(
  cursor: Cursor,
  snippets: readonly Snippet[],
  inModelTokens: Budget,
  vocabulary: Vocabulary,
): Prompt {
  const { fim, bos } = vocabulary;
  const budget = inVocabulary(inModelTokens, vocabulary);
  const start = special(bos);
  const { path: name } = cursor;
  if (fim === null) {
    const prefix = prefixTokens(cursor.prefix, budget.tokens - start.tokens.length, vocabulary);
    return promptOf([start, { tokens: prefix, is: { kind: "prefix", path: name } }]);
  }
  const other = snippetParts(snippets, snippetTokensOf(budget), vocabulary, fim);
  const otherSize = sizeOf(other);
  const showsPath = fim.file !== null && (fim.alwaysPath || otherSize > 0);
  const encodedPath = showsPath ? vocabulary.encode(`${name}\n`, false) : [];
  const pathTokens = tail(encodedPath, budget.tokens * PATH_SHARE);
  const left = Math.max(0, budget.tokens - otherSize - pathTokens.length - SPECIALS);
  const suffixBudget = Math.min(
    left * SUFFIX_SHARE,
    fim.suffixFirst ? left : (budget.rereadTokens ?? left),
  );
  const suffix = suffixTokens(cursor.suffix, suffixBudget, vocabulary);
  const prefix = prefixTokens(cursor.prefix, left - suffix.length, vocabulary);

  const path: Part[] = [{ tokens: pathTokens, is: { kind: "path", path: name } }];
  const inside = fim.path === "afterPrefixToken";
  const prefixParts: Part[] = [
    special(fim.prefix),
    ...(inside ? path : []),
    { tokens: prefix, is: { kind: "prefix", path: name } },
  ];
  const suffixParts: Part[] = [
    special(fim.suffix),
    { tokens: suffix, is: { kind: "suffix", path: name } },
  ];
  return promptOf([
    start,
    ...other,
    special(showsPath ? fim.file : null),
    ...(inside ? [] : path),
    ...(fim.suffixFirst ? [...suffixParts, ...prefixParts] : [...prefixParts, ...suffixParts]),
    special(fim.middle),
  ]);
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

function promptOf(all: readonly Part[]): Prompt {
  const tokens = new Uint32Array(sizeOf(all));
  const parts: PromptPart[] = [];
  let end = 0;
  for (const { tokens: some, is } of all) {
    const start = end;
    tokens.set(some, start);
    end += some.length;
    if (is !== undefined && end > start) parts.push({ source: null, ...is, start, end });
  }
  return { tokens, parts, featuresFrom: Math.max(0, tokens.length - 1) };
}

/** The other files, behind the repository's name if the model was trained with one. */
function snippetParts(
  snippets: readonly Snippet[],
  budget: number,
  vocabulary: Vocabulary,
  { file, repository }: Fim,
): Part[] {
  if (file === null) return [];
  const title: Part[] =
    repository === null
      ? []
      : [special(repository), { tokens: vocabulary.encode(`${REPOSITORY}\n`, false) }];
  const parts: Part[] = [];
  let size = sizeOf(title);
  for (const { source, path, text } of snippets) {
    const tokens = vocabulary.encode(`${path}\n${text}`, false);
    if (size + 1 + tokens.length > budget) continue;
    parts.push(special(file), { tokens, is: { kind: "snippet", source, path } });
    size += 1 + tokens.length;
  }
  return parts.length === 0 ? [] : [...title, ...parts];
}

const REPOSITORY = "workspace"; // the model needs some name there; the user's own tells it nothing
