// Whether a model suits this machine: pure arithmetic on its size, the memory here and a measured time.

import type { ModelAdvice } from "../protocol";
import { bytesText } from "../units";
import { type Choice, memoryBytes } from "./catalogue";

/** What was measured here. */
export interface Here {
  /** Bytes that a model may take. */
  readonly memoryBytes: number;
  /** How fast a model writes that runs so many parameters a token; null: not measured. */
  readonly measured: { readonly tokensPerSecond: number; readonly activeParameters: number } | null;
  readonly contextTokens: number;
}

const LINE_TOKENS = 12; // of a completed line; see tuning.ts
const QUICK_MS = 400; // from a key to the completion: below what is called a pause to think
const SLOW_MS = 1500; // beyond that, nobody waits

/** Time grows as the weights that a token takes: a model's decoding is bound by reading them. */
function expectedMs({ model }: Choice, { measured }: Here): number | null {
  if (measured === null) return null;
  const heavier = (model.parameters.active * 1e9) / measured.activeParameters;
  return (1000 * LINE_TOKENS * heavier) / measured.tokensPerSecond;
}

export function advise(choice: Choice, here: Here): ModelAdvice {
  const needs = memoryBytes(choice, here.contextTokens);
  const memory = `${bytesText(needs)} of memory`;
  if (needs > here.memoryBytes) {
    const says = `too large here: takes ${memory}, and may take ${bytesText(here.memoryBytes)}`;
    return { level: "tooLarge", says };
  }
  const ms = expectedMs(choice, here);
  if (ms === null) return { level: "fits", says: memory };
  const time = ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
  const says = `about ${time} a completion here, ${memory}`;
  return { level: ms <= QUICK_MS ? "quick" : ms <= SLOW_MS ? "fits" : "slow", says };
}

/** Of what completes, the best that is quick: by HumanEval, then by size. Its index; -1: none. */
export function recommended(choices: readonly Choice[], advice: readonly ModelAdvice[]): number {
  const score = ({ model }: Choice) =>
    [model.humanEval?.passAt1 ?? 0, model.parameters.total] as const;
  let best = -1;
  choices.forEach((choice, i) => {
    if (advice[i]!.level !== "quick" || choice.model.prompts === "chat") return;
    if (choice.variant !== choice.model.variants[0]) return; // the form to take
    const [a, b] = [score(choice), best === -1 ? [-1, 0] : score(choices[best]!)];
    if (a[0] > b[0]! || (a[0] === b[0] && a[1] > b[1]!)) best = i;
  });
  return best;
}
