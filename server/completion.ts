// The request, top to bottom: from a cursor to what is proposed there.

import { setTimeout as delay } from "node:timers/promises";
import type { CompletionCache, Entry, Found, Written } from "./cache";
import { confidenceOf, heldBackBecause, leastLogProbability } from "./confidence";
import type { Context } from "./context/context";
import type { Debounce } from "./debounce";
import { type OpenDocument, shortPath } from "./document";
import { finish, mostLines, onlyCloses, type Spot, silentBecause, wholePart } from "./finish";
import type { Generated, Generator } from "./generator";
import { languageOf } from "./languages";
import { unixBreaks } from "./lines";
import type { LookAhead } from "./lookahead";
import { buildPrompt, type Cursor, type Prompt, sizesIn, snippetTokensOf } from "./prompt";
import type { Settings } from "./protocol";
import { type CursorSyntax, cursorSyntax, isWholeStatement } from "./syntax";
import { type KnownSyntax, MAX_PARSED, type SyntaxTrees } from "./trees";
import type { Tuning } from "./tuning";

export interface Services {
  readonly settings: Settings;
  readonly engine: Generator;
  readonly cache: CompletionCache;
  readonly context: Context;
  readonly trees: SyntaxTrees;
  readonly debounce: Debounce;
  readonly lookAhead: LookAhead;
  /** What the model's self-test allows; null: as the settings say. */
  readonly tuning: Tuning | null;
}

export interface Request {
  readonly document: OpenDocument;
  /** UTF-16 offset into the document's text. */
  readonly offset: number;
  /** The other open documents, the most recently seen first. */
  readonly others: readonly OpenDocument[];
  /** Someone asked for it: no wait for more keys, and nothing held back. */
  readonly invoked: boolean;
  /** Whether other proposals than the likeliest are wanted; not given: no. */
  readonly alternatives?: boolean;
  /** Whether the document has what is only proposed; not given: no. */
  readonly isAhead?: boolean;
  /** What the open list of suggestions would put from `start` up to `offset`; the proposal goes on from there. */
  readonly selected?: { readonly start: number; readonly text: string };
}

export interface Proposal {
  readonly text: string;
  /** The probability of its first line, which is about how often such a line is kept; in 0..1. */
  readonly confidence: number;
}

/** One call of the model: what it read and wrote, and what that cost. */
export interface ModelCall {
  readonly prompt: Prompt;
  readonly generated: Generated;
  /** Milliseconds of choosing and encoding what the model reads. */
  readonly prepareMs: number;
}

export interface Completion {
  /** What is proposed, the likeliest first. */
  readonly proposals: readonly Proposal[];
  readonly source: "cache" | "model" | "silent";
  /** Why nothing is proposed; null: something is. */
  readonly silence: string | null;
  /** What the model wrote, also where it is held back; "": nothing. */
  readonly written: string;
  /** The calls that were made for it, none for what was known. */
  readonly calls: readonly ModelCall[];
  /** Milliseconds that it took, the wait for more keys left out. */
  readonly ms: number;
}

const RESERVE = 8; // tokens of the context that neither prompt nor completion takes
const MIN_CONTEXT = 4096; // tokens; an instruction with its code wants about as many
const NOT_PARSED: KnownSyntax = { tree: null, isExact: true };
const ALTERNATIVES = 2; // beside the likeliest one
const ALTERNATIVE_TRIES = 4;
const ALTERNATIVES_MS = 1500; // who asks by key waits for them
const ALTERNATIVE_SAMPLING = { temperature: 0.8, topP: 0.95 };

/** What is proposed at the request's cursor. Rejects with AbortError once `signal` fires. */
export async function complete(
  services: Services,
  request: Request,
  signal: AbortSignal,
): Promise<Completion> {
  const { settings, cache, debounce, lookAhead } = services;
  let place = placeOf(services, request);
  if (typeof place === "string") return silent(place);
  const { cursor } = place;

  let start = performance.now();
  await lookAhead.settle(cursor, signal);
  let found = cache.find(cursor);
  if (found !== undefined && answers(found, request)) {
    return proposed(found, [], start, request, settings);
  }

  if (!request.invoked) await delay(debounce.waitMs(settings.debounceMs), undefined, { signal });
  if (!place.isExact) place = placeOf(services, request); // it was parsed meanwhile, with some luck
  if (typeof place === "string") return silent(place);
  start = performance.now();
  const calls: ModelCall[] = [];
  const prepared = prepare(services, place, request);
  if (found === undefined || found.typed > 0 || isUnsure(found)) {
    const sampling = request.invoked ? {} : likelyEnough(settings);
    const { written, call } = await write(services, prepared, sampling, signal);
    calls.push(call);
    debounce.measured(performance.now() - start);
    found = { written: [written], alternatives: false, typed: 0 };
  }
  if (request.alternatives === true) {
    const others = await alternatives(services, prepared, found.written, calls, signal);
    found = { written: [...found.written, ...others], alternatives: true, typed: 0 };
  }
  cache.store(cursor, found);
  return proposed(found, calls, start, request, settings);
}

/** Whether what is known is all that the request wants. */
function answers(found: Found, { invoked, alternatives }: Request): boolean {
  if (!invoked) return true;
  return !isUnsure(found) && (found.alternatives || alternatives !== true);
}

const isUnsure = ({ written }: Entry) => written[0]?.unsure === true;

/** Nobody waits for the rest of what will not be shown. */
function likelyEnough({ eagerness }: Settings): Sampling {
  const least = leastLogProbability(eagerness);
  return least === null ? {} : { minLogProbability: least };
}

/** Once `proposal` has been shown at the request's cursor: what would come next is written into the cache. */
export function startAhead(services: Services, request: Request, { text }: Proposal): void {
  const { cache, lookAhead } = services;
  const ahead = accepted(request, text);
  const place = cursorAt(ahead.document, ahead.offset);
  if (cache.find(place) !== undefined) return;
  lookAhead.start(place, async (signal) => {
    const found = placeOf(services, ahead);
    if (typeof found === "string") return;
    const sampling = likelyEnough(services.settings);
    const { written } = await write(services, prepare(services, found, ahead), sampling, signal);
    cache.store(place, { written: [written], alternatives: false });
  });
}

/** The request that comes once `text` is accepted at this one's cursor. */
function accepted({ document, offset, others, selected }: Request, text: string): Request {
  const before = selected ?? { start: offset, text: "" };
  const prefix = document.text.slice(0, before.start) + before.text + text;
  const next = { ...document, text: prefix + document.text.slice(offset) };
  return { document: next, offset: prefix.length, others, invoked: false, isAhead: true };
}

/** A cursor where a completion may be wanted. */
interface Place {
  readonly cursor: Spot;
  readonly syntax: CursorSyntax;
  /** Whether the syntax is the text's own, and not what is left of an earlier one's. */
  readonly isExact: boolean;
}

/** Where the request's cursor stands, or why nothing is proposed there. */
function placeOf({ settings, trees, context }: Services, request: Request): Place | string {
  const { document, offset, selected, invoked } = request;
  const { languageId, text, uri } = document;
  if (!settings.enabled) return "off";
  if (settings.disabledLanguages.includes(languageId)) return `off for ${languageId}`;
  const excluded = context.excludedBecause(uri);
  if (excluded !== null) return `this file is not shown to a model: ${excluded}`;
  const start = selected?.start ?? offset;
  const prefix = text.slice(0, start) + (selected?.text ?? "");
  const cursor = cursorAt({ ...document, text: prefix + text.slice(offset) }, prefix.length);
  const silence = silentBecause(cursor);
  if (silence !== null) return silence;
  const { tree, isExact } =
    text.length > MAX_PARSED ? NOT_PARSED : trees.soon(uri, languageId, text);
  const syntax = cursorSyntax(languageId, tree, text, start);
  if (!invoked && settings.silentIn.includes("comment") && syntax.inComment) return "in a comment";
  if (!invoked && settings.silentIn.includes("string") && syntax.inString) return "in a string";
  const language = languageOf(languageId);
  const place = {
    inString: syntax.inString,
    inComment: syntax.inComment,
    inBrackets: syntax.inArguments || syntax.inType || inBrackets.has(syntax.enclosing[0] ?? ""),
    blocksByIndent: language?.blocksByIndent ?? true,
  };
  const spot = {
    ...cursor,
    place,
    ...(language && { lineComment: language.lineComment }),
    ...(settings.maxLines !== null && { maxLines: settings.maxLines }),
  };
  return { cursor: spot, syntax, isExact };
}

const inBrackets: ReadonlySet<string> = new Set(["parameters", "object", "array", "comprehension"]);

/** All that the model is asked with. */
interface Prepared extends Place {
  readonly prompt: Prompt;
  readonly maxTokens: number;
  readonly prepareMs: number;
}

function prepare(services: Services, place: Place, request: Request): Prepared {
  const { settings, engine, context, tuning } = services;
  const { document, offset, others, isAhead = false } = request;
  const start = performance.now();
  const { maxTokens, ...budget } = limits(settings, tuning, engine.contextTokens);
  const { vocabulary } = engine;
  const snippets = context.gather({
    ...{ document, offset, others, isAhead, count: sizesIn(vocabulary).ofLine },
    ...{ promptTokens: budget.tokens, budgetTokens: snippetTokensOf(budget) },
  });
  const prompt = buildPrompt(place.cursor, snippets, budget, vocabulary);
  return { ...place, prompt, maxTokens, prepareMs: performance.now() - start };
}

interface Sampling {
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly minLogProbability?: number;
}

/** What the model writes there, cut to what can be proposed. */
async function write(
  { engine }: Services,
  { cursor, syntax, prompt, maxTokens, prepareMs }: Prepared,
  sampling: Sampling,
  signal: AbortSignal,
): Promise<{ written: Written; call: ModelCall }> {
  const whole = (text: string) => isWholeStatement(cursor.languageId, cursor.prefix, text);
  const options = {
    maxTokens,
    features: syntax.features,
    singleLine: mostLines(cursor) === 1,
    until: (text: string) => wholePart(text, cursor, whole),
    ...sampling,
  };
  const generated = await engine.generate(prompt, options, signal);
  const unsure = generated.stop === "unsure";
  const written = { text: finish(generated.text, cursor), tokens: generated.tokens, unsure };
  return { written, call: { prompt, generated, prepareMs } };
}

/** Other things that the model could have written, none of them twice. */
async function alternatives(
  services: Services,
  prepared: Prepared,
  known: readonly Written[],
  calls: ModelCall[],
  signal: AbortSignal,
): Promise<Written[]> {
  const end = performance.now() + ALTERNATIVES_MS;
  const found: Written[] = [];
  const isNew = (text: string) =>
    text !== "" && ![...known, ...found].some((other) => other.text.trim() === text.trim());
  for (let seed = 1; seed <= ALTERNATIVE_TRIES && found.length < ALTERNATIVES; seed++) {
    const sampling = { ...ALTERNATIVE_SAMPLING, seed };
    const { written, call } = await write(services, prepared, sampling, signal);
    calls.push(call);
    if (isNew(written.text)) found.push(written);
    if (performance.now() > end) break;
  }
  return found;
}

/** Of what was written, what is shown: all of it to who asked for it, else what is likely enough. */
function proposed(
  found: Found,
  calls: readonly ModelCall[],
  start: number,
  { invoked }: Request,
  { eagerness }: Settings,
): Completion {
  const { written, typed } = found;
  const source = calls.length > 0 ? "model" : "cache";
  const left = written
    .map(({ text, tokens }) => ({
      text: text.slice(typed),
      confidence: confidenceOf(tokens, typed, text.length),
    }))
    .filter(({ text }) => text !== "");
  const first = left[0];
  const silence = invoked ? null : silenceOf(first, isUnsure(found), eagerness);
  return {
    proposals: silence === null ? left : [],
    source,
    silence: first === undefined ? NOTHING : silence,
    written: first?.text ?? "",
    calls,
    ms: performance.now() - start,
  };
}

const NOTHING = "the model has nothing to say here";

/** Why what the model wrote is not shown to someone who did not ask for it, or null. */
function silenceOf(
  first: Proposal | undefined,
  unsure: boolean,
  eagerness: Settings["eagerness"],
): string | null {
  if (first === undefined) return NOTHING;
  if (onlyCloses(first.text)) return "it only closes what is open";
  const heldBack = heldBackBecause(first.confidence, eagerness);
  if (heldBack !== null) return `held back: ${heldBack}`;
  // What is left of the line may be likely enough, but it is not all of it.
  return unsure ? "held back: the line that it is of became too unlikely" : null;
}

function silent(silence: string): Completion {
  return { proposals: [], source: "silent", silence, written: "", calls: [], ms: 0 };
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
  return {
    prefix: unixBreaks(text.slice(0, offset)),
    suffix: unixBreaks(text.slice(offset)),
    path: shortPath(uri),
    languageId,
  };
}
