// Which models suit this machine: pure arithmetic on their sizes, the memory here and a measured time.

import type { ModelAdvice } from "../protocol";
import { bytesText, durationText } from "../units";
import { type CatalogueModel, type Choice, catalogue, memoryBytes } from "./catalogue";

/** How long a completion takes with a model that runs so many parameters a token. */
export interface Measured {
  readonly keystrokeMs: number;
  readonly activeParameters: number;
}

export interface Here {
  /** Bytes that a model may take. */
  readonly memoryBytes: number;
  readonly measured: Measured | null;
  readonly contextTokens: number;
}

const QUICK_MS = 400; // from a key to the completion: below what is called a pause to think
const SLOW_MS = 1500; // beyond that, nobody waits
const MOST = 2; // models that are named in place of one that is too slow

const TINY = 50e6; // active parameters, below which half of a token's time is not its weights'
// Of what the bundled model's tokens take, scaled by parameters, 1.5 billion in Q8_0 took 0.46 and
// Ring-mini-linear-2.0's shape 0.51 (Zen 4, two cores, of different days: 19.1 and 19.0 tokens/s, where it writes 2,515).
const WEIGHTS_SHARE = 0.5;

/** Time grows as the weights that a token takes: a model's decoding is bound by reading them. */
function expectedMs({ parameters }: CatalogueModel, measured: Measured): number {
  const share = measured.activeParameters < TINY ? WEIGHTS_SHARE : 1;
  return share * measured.keystrokeMs * ((parameters.active * 1e9) / measured.activeParameters);
}

const completes = ({ prompts }: CatalogueModel) => prompts !== "chat";

/** The better one first: by HumanEval, then by size. */
function byWorth(a: CatalogueModel, b: CatalogueModel): number {
  const passed = ({ humanEval }: CatalogueModel) => humanEval?.passAt1 ?? 0;
  return passed(b) - passed(a) || b.parameters.total - a.parameters.total;
}

export function advise(choice: Choice, here: Here): ModelAdvice {
  const needs = memoryBytes(choice, here.contextTokens);
  const memory = `${bytesText(needs)} of memory`;
  if (needs > here.memoryBytes) {
    const says = `too large here: takes ${memory}, and may take ${bytesText(here.memoryBytes)}`;
    return { level: "tooLarge", says };
  }
  if (here.measured === null) return { level: "fits", says: memory };
  const ms = expectedMs(choice.model, here.measured);
  const says = `about ${durationText(ms)} a completion here, ${memory}`;
  return { level: ms <= QUICK_MS ? "quick" : ms <= SLOW_MS ? "fits" : "slow", says };
}

/** Of what completes, the best that is quick here and fits, in the form to take; null: none. */
export function recommended(choices: readonly Choice[], here: Here): Choice | null {
  const quick = choices.filter(
    (choice) =>
      completes(choice.model) &&
      choice.variant === choice.model.variants[0] &&
      advise(choice, here).level === "quick",
  );
  return quick.sort((a, b) => byWorth(a.model, b.model))[0] ?? null;
}

/** Ids of models that complete and should be quick here, the best first; the bundled one always is. */
export function quickOnes(
  measured: Measured,
  models: readonly CatalogueModel[] = catalogue,
): string[] {
  const quick = models.filter(
    (model) =>
      completes(model) && model.variants.length > 0 && expectedMs(model, measured) <= QUICK_MS,
  );
  const best = quick.sort(byWorth).slice(0, MOST);
  return [...best.map(({ id }) => id), "ringside-small"];
}
