// The request, top to bottom: from a cursor to the text that is proposed there.

import { setTimeout as delay } from "node:timers/promises";
import type { CompletionCache } from "./cache";
import type { Context } from "./context/context";
import type { Debounce } from "./debounce";
import { type OpenDocument, shortPath } from "./document";
import { finish, silentBecause, wantsSingleLine, wholePart } from "./finish";
import type { Generator } from "./generator";
import { type Budget, buildPrompt, type Cursor, type Vocabulary } from "./prompt";
import type { Settings } from "./protocol";
import { cursorSyntax, isWholeStatement } from "./syntax";
import type { SyntaxTrees } from "./trees";
import type { Tuning } from "./tuning";

export interface Services {
  readonly settings: Settings;
  readonly engine: Generator;
  readonly cache: CompletionCache;
  readonly context: Context;
  readonly trees: SyntaxTrees;
  readonly debounce: Debounce;
  /** What the model's self-test allows; null: as the settings say. */
  readonly tuning: Tuning | null;
}

export interface Request {
  readonly document: OpenDocument;
  /** UTF-16 offset into the document's text. */
  readonly offset: number;
  /** The other open documents, the most recently seen first. */
  readonly others: readonly OpenDocument[];
  /** The user asked by a command: no wait for more keys. */
  readonly invoked: boolean;
}

/** Where a completion came from and what it cost, in milliseconds. */
export interface Completion {
  readonly text: string;
  readonly source: "cache" | "model" | "silent";
  readonly promptTokens?: number;
  readonly reusedTokens?: number;
  readonly generatedTokens?: number;
  readonly prepareMs?: number;
  readonly truncateMs?: number;
  readonly readMs?: number;
  readonly decodeMs?: number;
}

const silent: Completion = { text: "", source: "silent" };
const RESERVE = 8; // tokens of the context that neither prompt nor completion takes
const MIN_CONTEXT = 4096; // tokens; an instruction with its code wants about as many

/** The completion at the request's cursor, its text "" for none. Rejects with AbortError once `signal` fires. */
export async function complete(
  { settings, engine, cache, context, trees, debounce, tuning }: Services,
  { document, offset, others, invoked }: Request,
  signal: AbortSignal,
): Promise<Completion> {
  if (!settings.enabled || settings.disabledLanguages.includes(document.languageId)) return silent;
  const cursor = cursorAt(document, offset);
  if (silentBecause(cursor) !== null) return silent;
  const cached = cache.find(cursor);
  if (cached !== undefined) return { text: cached, source: "cache" };

  if (!invoked) await delay(debounce.waitMs(settings.debounceMs), undefined, { signal });
  const start = performance.now();
  const snippets = context.gather(document, offset, others);
  const { maxTokens, ...budget } = limits(settings, tuning, engine.contextTokens);
  const prompt = buildPrompt(
    cursor,
    snippets,
    inVocabulary(budget, engine.vocabulary),
    engine.vocabulary,
  );
  const { text: all, languageId } = document;
  const { features } = cursorSyntax(
    languageId,
    trees.of(document.uri, languageId, all),
    all,
    offset,
  );
  const prepareMs = performance.now() - start;

  const whole = (text: string) => isWholeStatement(languageId, cursor.prefix, text);
  const generated = await engine.generate(
    prompt,
    {
      maxTokens,
      features,
      singleLine: wantsSingleLine(cursor),
      until: (text) => wholePart(text, cursor, whole),
    },
    signal,
  );
  debounce.measured(performance.now() - start);
  const text = finish(generated.text, cursor);
  cache.store(cursor, text);
  const { promptTokens, reusedTokens, generatedTokens } = generated;
  const { truncateMs, readMs, decodeMs } = generated;
  return {
    text,
    source: "model",
    promptTokens,
    reusedTokens,
    generatedTokens,
    prepareMs,
    truncateMs,
    readMs,
    decodeMs,
  };
}

/** What the settings ask for, as far as the self-test and the model's context allow. */
export function limits(
  settings: Pick<Settings, "contextTokens" | "maxTokens">,
  tuning: Tuning | null,
  modelContext: number,
): { tokens: number; maxTokens: number; rereadTokens?: number } {
  const maxTokens = Math.min(settings.maxTokens, tuning?.maxTokens ?? Infinity);
  const room = Math.max(1, modelContext - maxTokens - RESERVE);
  const tokens = Math.min(settings.contextTokens, tuning?.contextTokens ?? Infinity, room);
  const rereadTokens = tuning?.rereadTokens ?? null;
  return { tokens, maxTokens, ...(rereadTokens === null ? {} : { rereadTokens }) };
}

/** `budget`, which counts the model's tokens, in those of `vocabulary`. */
function inVocabulary(budget: Budget, { perModelToken = 1 }: Vocabulary): Budget {
  const { tokens, rereadTokens } = budget;
  return {
    tokens: tokens * perModelToken,
    ...(rereadTokens !== undefined && { rereadTokens: rereadTokens * perModelToken }),
  };
}

/** The most context that the settings can ask the model for. */
export function contextFor({
  contextTokens,
  maxTokens,
}: Pick<Settings, "contextTokens" | "maxTokens">): number {
  return Math.max(MIN_CONTEXT, contextTokens + maxTokens + RESERVE);
}

/** The cursor at `offset`. Line breaks are read as \n, as the model has learnt them. */
export function cursorAt(
  { text, uri, languageId }: Pick<OpenDocument, "text" | "uri" | "languageId">,
  offset: number,
): Cursor {
  const unix = (part: string) => (part.includes("\r") ? part.replace(/\r\n?/g, "\n") : part);
  return {
    prefix: unix(text.slice(0, offset)),
    suffix: unix(text.slice(offset)),
    path: shortPath(uri),
    languageId,
  };
}
