// How likely a proposal is to be kept, by the model's own probabilities, and whether that is enough.

import type { GeneratedToken } from "./generator";
import type { Eagerness } from "./protocol";

/**
 * How often a shown proposal's first line was what stood in the file, by two logarithms: of the whole
 * line's probability and of its least likely token's. A logistic fit; see confidence.md.
 */
const FIT = { intercept: 0, line: 1, least: 0 } as const;

/** The least share of proposals of a kind that must be kept for the kind to be shown. */
const wanted: Readonly<Record<Eagerness, number>> = {
  low: 0.6,
  medium: 0.35,
  high: 0.15,
  always: 0,
};

/** Natural logarithms of probabilities. */
export interface LineProbability {
  /** Of all tokens of the line. */
  readonly line: number;
  /** Of its least likely token. */
  readonly least: number;
}

/**
 * Of what the first line of `tokens`' text holds from character `from` up to `to`; null where there is
 * no token, as with an endpoint that does not say.
 */
export function lineProbability(
  tokens: readonly GeneratedToken[],
  from: number,
  to: number,
): LineProbability | null {
  let end = 0;
  let line = 0;
  let least = 0;
  let count = 0;
  let written = "";
  for (const { text, logProbability } of tokens) {
    const start = end;
    end += text.length;
    if (end <= from) continue;
    if (start >= to || /\S[^\n]*\n/.test(written)) break;
    written += text;
    line += logProbability;
    least = Math.min(least, logProbability);
    count++;
  }
  return count === 0 ? null : { line, least };
}

/** The share of such proposals whose first line is kept, in 0..1; 1 where nothing is known. */
export function confidenceOf(probability: LineProbability | null): number {
  if (probability === null) return 1;
  const { line, least } = probability;
  return 1 / (1 + Math.exp(-(FIT.intercept + FIT.line * line + FIT.least * least)));
}

/** Why a proposal of this confidence is held back, or null. */
export function heldBackBecause(confidence: number, eagerness: Eagerness): string | null {
  const least = wanted[eagerness];
  if (confidence >= least) return null;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return `${percent(confidence)} sure, and "ringside.eagerness": "${eagerness}" wants ${percent(least)}`;
}
