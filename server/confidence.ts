// How likely a proposal is to be kept, by the model's own probabilities, and whether that is enough.
//
// What a language model thinks of the whole first line is how often that line is right, near enough:
// test/bench/confidence.ts measures it, and test/bench/results/confidence.md has the table.

import type { GeneratedToken } from "./generator";
import type { Eagerness } from "./protocol";

/** The least probability of a first line that is shown. */
const wanted: Readonly<Record<Eagerness, number>> = {
  low: 0.5,
  medium: 0.25,
  high: 0.1,
  always: 0,
};

/**
 * The probability of the first line of what `tokens` say from character `from` up to `to`, in 0..1; 1
 * where there is no token, as with an endpoint that does not say.
 */
export function confidenceOf(tokens: readonly GeneratedToken[], from: number, to: number): number {
  let end = 0;
  let logProbability = 0;
  let line = "";
  for (const token of tokens) {
    const start = end;
    end += token.text.length;
    if (end <= from && start < from) continue; // one without text may be a part of what follows
    if (start >= to || /\S[^\n]*\n/.test(line)) break;
    line += token.text;
    logProbability += token.logProbability;
  }
  return Math.min(1, Math.exp(logProbability));
}

/** The natural logarithm of the least probability that is shown: who writes less can stop. null: none. */
export function leastLogProbability(eagerness: Eagerness): number | null {
  return wanted[eagerness] === 0 ? null : Math.log(wanted[eagerness]);
}

/** Why a proposal of this confidence is held back, or null. */
export function heldBackBecause(confidence: number, eagerness: Eagerness): string | null {
  const least = wanted[eagerness];
  if (confidence >= least) return null;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return `${percent(confidence)} sure, and "ringside.eagerness": "${eagerness}" wants ${percent(least)}`;
}
