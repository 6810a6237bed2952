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

/** Why a snippet is shown: where it was found. */
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
}

export interface Budget {
  /** Tokens of the whole prompt. */
  readonly tokens: number;
  /** The most for the suffix, where it is read again with each key; none: no such limit. */
  readonly rereadTokens?: number;
}

export interface Prompt {
  readonly tokens: Uint32Array;
  /** Index of the first token that takes the cursor's syntax features. */
  readonly featuresFrom: number;
}

export interface BuiltPrompt extends Prompt {
  /** What its tokens are, in their order; specials that belong to no part are left out. */
  readonly parts: readonly PromptPart[];
}

/** A part of a prompt: tokens `start` to `end`, without the latter. */
export interface PromptPart {
  readonly kind: "snippet" | "path" | "suffix" | "prefix";
  /** Of a snippet, where it was found. */
  readonly source: SnippetSource | null;
  /** Of a snippet, its file's; else the path of the file that is completed. */
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

const SNIPPET_SHARE = 0.25; // of the budget, for other files
const PATH_SHARE = 0.25; // of the budget: a path's end says most
const SUFFIX_SHARE = 0.25; // of what they leave; the prefix says more of what comes next
const SPECIALS = 6; // tokens at most that are not text: bos, repository, file, and three of the FIM

type Tokens = ArrayLike<number>;

/** Tokens, and which part of the prompt they are; null: specials. */
interface Piece {
  readonly tokens: Tokens;
  readonly part: Pick<PromptPart, "kind" | "source" | "path"> | null;
}

const special = (tokens: Tokens): Piece => ({ tokens, part: null });

/** Tokens of `budget` that snippets may take. */
export function snippetTokensOf(budget: Budget): number {
  return Math.floor(budget.tokens * SNIPPET_SHARE);
}

/**
 * The prompt for `cursor` within `budget`. Snippets that do not fit are left out, the prefix loses
 * its start, the suffix its end.
 */
export function buildPrompt(
  cursor: Cursor,
  snippets: readonly Snippet[],
  budget: Budget,
  vocabulary: Vocabulary,
): BuiltPrompt {
  const { fim, bos } = vocabulary;
  const start: Tokens = bos === null ? [] : [bos];
  const part = (kind: PromptPart["kind"], tokens: Tokens): Piece => ({
    tokens,
    part: { kind, source: null, path: cursor.path },
  });
  if (fim === null) {
    const prefix = prefixTokens(cursor.prefix, budget.tokens - start.length, vocabulary);
    return promptOf([special(start), part("prefix", prefix)]);
  }
  const other = snippetPieces(snippets, snippetTokensOf(budget), vocabulary, fim);
  const showsPath = fim.file !== null && (fim.alwaysPath || other.length > 0);
  const encodedPath = showsPath ? vocabulary.encode(`${cursor.path}\n`, false) : [];
  const path = tail(encodedPath, budget.tokens * PATH_SHARE);
  const left = Math.max(0, budget.tokens - sizeOf(other) - path.length - SPECIALS);
  const suffixBudget = Math.min(
    left * SUFFIX_SHARE,
    fim.suffixFirst ? left : (budget.rereadTokens ?? left),
  );
  const suffix = suffixTokens(cursor.suffix, suffixBudget, vocabulary);
  const prefix = prefixTokens(cursor.prefix, left - suffix.length, vocabulary);

  const file: Tokens = showsPath ? [fim.file!] : [];
  const inside = fim.path === "afterPrefixToken";
  const pathPieces = [part("path", path)];
  const prefixPieces = [
    special([fim.prefix]),
    ...(inside ? pathPieces : []),
    part("prefix", prefix),
  ];
  const suffixPieces = [special([fim.suffix]), part("suffix", suffix)];
  return promptOf([
    special(start),
    ...other,
    special(file),
    ...(inside ? [] : pathPieces),
    ...(fim.suffixFirst ? [...suffixPieces, ...prefixPieces] : [...prefixPieces, ...suffixPieces]),
    special(fim.middle === null ? [] : [fim.middle]),
  ]);
}

function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

function promptOf(pieces: readonly Piece[]): BuiltPrompt {
  const tokens = new Uint32Array(sizeOf(pieces));
  const parts: PromptPart[] = [];
  let end = 0;
  for (const { tokens: own, part } of pieces) {
    tokens.set(own, end);
    if (part !== null && own.length > 0) parts.push({ ...part, start: end, end: end + own.length });
    end += own.length;
  }
  return { tokens, featuresFrom: Math.max(0, tokens.length - 1), parts };
}

/** The other files, behind the repository's name if the model was trained with one. */
function snippetPieces(
  snippets: readonly Snippet[],
  budget: number,
  vocabulary: Vocabulary,
  { file, repository }: Fim,
): Piece[] {
  if (file === null) return [];
  const name = repository === null ? [] : vocabulary.encode(`${REPOSITORY}\n`, false);
  const title = repository === null ? [] : [special([repository]), special(name)];
  const pieces: Piece[] = [];
  let size = sizeOf(title);
  for (const { source, path, text } of snippets) {
    const body = vocabulary.encode(`${path}\n${text}`, false);
    if (size + 1 + body.length > budget) continue;
    pieces.push(special([file]), { tokens: body, part: { kind: "snippet", source, path } });
    size += 1 + body.length;
  }
  return pieces.length === 0 ? [] : [...title, ...pieces];
}

const REPOSITORY = "workspace"; // the model needs some name there; the user's own tells it nothing
