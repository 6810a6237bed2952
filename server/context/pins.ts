// Which snippets stay in the prompt. They stand at its start, so another choice means that the model
// reads everything behind them anew: at 2,048 tokens, a quarter second to some seconds on a CPU. So
// a choice holds while the user types, and changes only where the change is nearly free or worth it.
//
// 1. Typing, and moving by a few lines, changes nothing.
// 2. A move of MOVED_LINES or more changes the suffix, which models that put it first read anew
//    together with the prefix: then what fits is appended. What stands stays where it is.
// 3. If what could be appended does not fit, all is chosen anew only if the snippets shown have lost
//    half of their worth here: their share of the scores that a new choice would have.
// 4. All is chosen anew in another file, after a pause (nobody waits then for the first completion),
//    and once for each visit to a file when what was slow to find has been found.
//
// A new choice keeps the snippets at the start that it has in common with the old one where they are,
// then goes from what is least likely to change to what is most.

import type { Snippet } from "../prompt";
import type { Candidate } from "./candidate";
import { type Budget, fitting, type Ranked, sayingLines, sizeOf } from "./rank";

const MOVED_LINES = 16;
const PAUSE_MS = 30_000;
const WORTH = 0.5; // of a new choice's scores: below it the old choice is given up
const MARGIN = 0.95; // of the budget: lines are counted, texts are encoded

const stability: Readonly<Record<Snippet["source"], number>> = {
  import: 0,
  definition: 1,
  symbol: 1,
  tab: 2,
  visited: 2,
  edit: 3,
};

export interface Place {
  readonly uri: string;
  readonly line: number;
  /** Whether everything slow about this file has been found. */
  readonly isReady: boolean;
  readonly budget: Budget;
}

interface Pinned {
  readonly uri: string;
  readonly budgetTokens: number;
  /** Where the snippets were chosen last. */
  readonly line: number;
  readonly isReady: boolean;
  readonly candidates: readonly Candidate[];
}

export class Pins {
  private pinned: Pinned | null = null;
  private asked = 0; // when, last

  constructor(private readonly now: () => number) {}

  /** The snippets for `place`. `rank` and `shown` are called only if they may have changed. */
  choose(
    place: Place,
    rank: () => readonly Ranked[],
    shown: () => ReadonlySet<string>,
  ): readonly Candidate[] {
    const paused = this.now() - this.asked > PAUSE_MS;
    this.asked = this.now();
    const { pinned } = this;
    const budget = { ...place.budget, tokens: place.budget.tokens * MARGIN };
    const stays =
      pinned !== null &&
      pinned.uri === place.uri &&
      pinned.budgetTokens === place.budget.tokens &&
      (pinned.isReady || !place.isReady) &&
      !paused;
    if (!stays)
      return this.pin(place, anew(pinned?.candidates ?? [], fitting(rank(), budget, shown())));
    if (Math.abs(place.line - pinned.line) < MOVED_LINES) return pinned.candidates;
    return this.pin(place, moved(pinned.candidates, rank(), budget, shown()), pinned.isReady);
  }

  /** What was chosen holds no longer. */
  clear(): void {
    this.pinned = null;
  }

  /** What `isGone` says is no longer shown; the rest stays where it is. */
  drop(isGone: (candidate: Candidate) => boolean): void {
    if (this.pinned === null) return;
    const candidates = this.pinned.candidates.filter((candidate) => !isGone(candidate));
    this.pinned = { ...this.pinned, candidates };
  }

  private pin(
    { uri, line, isReady, budget }: Place,
    candidates: readonly Candidate[],
    wasReady = isReady,
  ): readonly Candidate[] {
    this.pinned = { uri, line, isReady: wasReady, budgetTokens: budget.tokens, candidates };
    return candidates;
  }
}

/** What was shown goes on, with what else fits; or a new choice, if that is worth reading it. */
function moved(
  before: readonly Candidate[],
  ranked: readonly Ranked[],
  budget: Budget,
  shown: ReadonlySet<string>,
): readonly Candidate[] {
  const best = fitting(ranked, budget, shown);
  const total = best.reduce((sum, { score }) => sum + score, 0);
  const kept = ranked.filter(({ candidate }) => before.some((old) => isSame(old, candidate)));
  const worth = kept.reduce((sum, { score }) => sum + score, 0);
  const used = before.reduce((sum, candidate) => sum + sizeOf(candidate, budget.count), 0);
  const all = new Set([...shown, ...before.flatMap(({ text }) => sayingLines(text))]);
  const rest = { ...budget, tokens: budget.tokens - used };
  const added = fitting(ranked, rest, all);
  const reached = worth + added.reduce((sum, { score }) => sum + score, 0);
  if (reached < WORTH * total) return anew(before, best);
  return added.length === 0 ? before : [...before, ...inOrder(added)];
}

/** The new choice: first what stood at the start before, then by stability, the best last. */
function anew(before: readonly Candidate[], chosen: readonly Ranked[]): readonly Candidate[] {
  const ordered = inOrder(chosen);
  let same = 0;
  while (same < before.length && ordered.some((one) => isSame(one, before[same]!))) same++;
  const kept = before.slice(0, same);
  return [...kept, ...ordered.filter((one) => !kept.some((old) => isSame(old, one)))];
}

function inOrder(chosen: readonly Ranked[]): Candidate[] {
  const ordered = [...chosen].sort(
    (a, b) => stability[a.candidate.source] - stability[b.candidate.source] || a.score - b.score,
  );
  return ordered.map(({ candidate }) => candidate);
}

function isSame(a: Candidate, b: Candidate): boolean {
  return a.path === b.path && a.text === b.text;
}
