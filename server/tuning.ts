// From how fast a model runs here to how it is used here, and what the user is told. Pure arithmetic.

import { durationText } from "./units";

/** Tokens a second. */
export interface Speeds {
  readonly read: number;
  readonly decode: number;
}

/** How the completion requests are sized for this model on this machine. */
export interface Tuning {
  /** From a typed key to the completion, as the prompt's layout and these speeds have it. */
  readonly keystrokeMs: number;
  readonly contextTokens: number;
  readonly maxTokens: number;
  /** The most of the suffix that is read again with each key; null: none is. */
  readonly rereadTokens: number | null;
  readonly verdict: "fast" | "usable" | "slow";
  /** A sentence for the user. */
  readonly says: string;
}

/** Tokens of a completed line: of HumanEval's, half have 9 and three quarters 13 in ours. */
export const LINE_TOKENS = 12;
const NEW = 2; // tokens that a key adds or changes
const REREAD_MS = 60; // for a suffix behind the prefix, which each key makes the model read again
const MIN_REREAD = 16; // tokens; less says nothing of what follows
const FIRST_READ_MS = 4000; // for the whole context when the user comes to a file
const LONGEST_MS = 1500; // of decoding; a completion that takes longer comes too late
const MIN_CONTEXT = 256;
const MIN_COMPLETION = 16;
const FAST_MS = 250; // a pause between words
const USABLE_MS = 1200; // a pause to think

export interface Wishes {
  readonly contextTokens: number;
  readonly maxTokens: number;
  /** Whether a suffix stands behind the prefix. */
  readonly rereads: boolean;
}

/** Tunes by what was measured, to other wishes than those at the time. */
export type Tune = (wishes: Omit<Wishes, "rereads">) => Tuning;

const clamp = (value: number, low: number, high: number) =>
  Math.max(Math.min(low, high), Math.min(high, value));

/** The wishes, cut to what `speeds` allow. */
export function tune(speeds: Speeds, wishes: Wishes): Tuning {
  const perMs = { read: speeds.read / 1000, decode: speeds.decode / 1000 };
  const rereadTokens = wishes.rereads
    ? Math.round(clamp(REREAD_MS * perMs.read, MIN_REREAD, wishes.contextTokens / 4))
    : null;
  const readMs = (NEW + (rereadTokens ?? 0)) / perMs.read;
  return {
    contextTokens: Math.round(clamp(FIRST_READ_MS * perMs.read, MIN_CONTEXT, wishes.contextTokens)),
    rereadTokens,
    ...paced(readMs, perMs.decode, wishes),
  };
}

/** The wishes for a model elsewhere, whose first token takes `firstMs` and others come at `decode` a second. */
export function tuneRemote(
  firstMs: number,
  decode: number,
  wishes: Omit<Wishes, "rereads">,
): Tuning {
  const { contextTokens } = wishes; // what it reads at which speed is the other machine's affair
  return {
    contextTokens,
    rereadTokens: null,
    ...paced(firstMs, decode / 1000, wishes, "from here"),
  };
}

function paced(
  firstMs: number,
  decodePerMs: number,
  wishes: Pick<Wishes, "maxTokens">,
  where = "for this machine",
) {
  const keystrokeMs = Math.round(firstMs + LINE_TOKENS / decodePerMs);
  const verdict = keystrokeMs <= FAST_MS ? "fast" : keystrokeMs <= USABLE_MS ? "usable" : "slow";
  return {
    keystrokeMs,
    maxTokens: Math.round(clamp(LONGEST_MS * decodePerMs, MIN_COMPLETION, wishes.maxTokens)),
    verdict,
    says: sentence(verdict, keystrokeMs, where),
  } as const;
}

function sentence(verdict: Tuning["verdict"], keystrokeMs: number, where: string): string {
  const time = durationText(keystrokeMs);
  if (verdict === "fast") return `Completes in about ${time} here.`;
  if (verdict === "usable") return `Completes in about ${time} here: in pauses, not between keys.`;
  return `Too slow ${where}: a completion would take about ${time}.`;
}
