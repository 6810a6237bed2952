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

/** A piece of another file. */
export interface Snippet {
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

export interface Prompt {
  readonly tokens: Uint32Array;
  /** Index of the first token that takes the cursor's syntax features. */
  readonly featuresFrom: number;
}

const SNIPPET_SHARE = 0.25; // of the budget, for other files
const PATH_SHARE = 0.25; // of the budget: a path's end says most
const SUFFIX_SHARE = 0.25; // of what they leave; the prefix says more of what comes next
const SPECIALS = 6; // tokens at most that are not text: bos, repository, file, and three of the FIM

type Part = ArrayLike<number>;

/**
 * The prompt for `cursor` within `budget`. Snippets that do not fit are left out, the prefix loses
 * its start, the suffix its end.
 */
export function buildPrompt(
  cursor: Cursor,
  snippets: readonly Snippet[],
  budget: Budget,
  vocabulary: Vocabulary,
): Prompt {
  const { fim, bos } = vocabulary;
  const start: Part = bos === null ? [] : [bos];
  if (fim === null) {
    const prefix = prefixTokens(cursor.prefix, budget.tokens - start.length, vocabulary);
    return promptOf([start, prefix]);
  }
  const other = snippetTokens(snippets, budget.tokens * SNIPPET_SHARE, vocabulary, fim);
  const showsPath = fim.file !== null && (fim.alwaysPath || other.length > 0);
  const encodedPath = showsPath ? vocabulary.encode(`${cursor.path}\n`, false) : [];
  const path = tail(encodedPath, budget.tokens * PATH_SHARE);
  const left = Math.max(0, budget.tokens - other.length - path.length - SPECIALS);
  const suffixBudget = Math.min(
    left * SUFFIX_SHARE,
    fim.suffixFirst ? left : (budget.rereadTokens ?? left),
  );
  const suffix = suffixTokens(cursor.suffix, suffixBudget, vocabulary);
  const prefix = prefixTokens(cursor.prefix, left - suffix.length, vocabulary);

  const file: Part = showsPath ? [fim.file!] : [];
  const inside = fim.path === "afterPrefixToken";
  const prefixParts: Part[] = [[fim.prefix], inside ? path : [], prefix];
  const suffixParts: Part[] = [[fim.suffix], suffix];
  return promptOf([
    start,
    other,
    file,
    inside ? [] : path,
    ...(fim.suffixFirst ? [...suffixParts, ...prefixParts] : [...prefixParts, ...suffixParts]),
    fim.middle === null ? [] : [fim.middle],
  ]);
}

function promptOf(parts: readonly Part[]): Prompt {
  const tokens = concatenate(parts);
  return { tokens, featuresFrom: Math.max(0, tokens.length - 1) };
}

function concatenate(parts: readonly Part[]): Uint32Array {
  const tokens = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    tokens.set(part, end);
    end += part.length;
  }
  return tokens;
}

/** The other files, behind the repository's name if the model was trained with one. */
function snippetTokens(
  snippets: readonly Snippet[],
  budget: number,
  vocabulary: Vocabulary,
  { file, repository }: Fim,
): Uint32Array {
  if (file === null) return new Uint32Array();
  const name = repository === null ? [] : vocabulary.encode(`${REPOSITORY}\n`, false);
  const title: Part[] = repository === null ? [] : [[repository], name];
  const parts: Part[] = [];
  let size = repository === null ? 0 : 1 + name.length;
  for (const { path, text } of snippets) {
    const body = vocabulary.encode(`${path}\n${text}`, false);
    if (size + 1 + body.length > budget) continue;
    parts.push([file], body);
    size += 1 + body.length;
  }
  return parts.length === 0 ? new Uint32Array() : concatenate([...title, ...parts]);
}

const REPOSITORY = "workspace"; // the model needs some name there; the user's own tells it nothing
