// All that the sources propose, in one order, without repetition, as much as fits.

import { lines } from "../window";
import { type Candidate, overlap } from "./candidate";

const RANK_OFFSET = 60; // of reciprocal-rank fusion (Cormack et al. 2009): how little a rank counts
const REPEATED = 0.6; // of a candidate's lines: more of them shown elsewhere makes it a repetition
const MIN_LINE = 8; // characters of a line that says something

/** One source's candidates, the best first, and how much they count. */
export interface Ranking {
  readonly weight: number;
  readonly candidates: readonly Candidate[];
}

export interface Ranked {
  readonly candidate: Candidate;
  readonly score: number;
}

/**
 * Reciprocal-rank fusion, the best first: a place that several sources name stands before one that a
 * single source names. Of places that overlap the best one's lines are shown.
 */
export function fuse(rankings: readonly Ranking[]): Ranked[] {
  const fused: { candidate: Candidate; score: number; best: number }[] = [];
  for (const { weight, candidates } of rankings) {
    for (const [rank, candidate] of candidates.entries()) {
      const score = weight / (RANK_OFFSET + rank + 1);
      const same = fused.find((other) => isSamePlace(other.candidate, candidate));
      if (same === undefined) fused.push({ candidate, score, best: score });
      else {
        same.score += score;
        if (score > same.best) Object.assign(same, { candidate, best: score });
      }
    }
  }
  return fused.sort((a, b) => b.score - a.score);
}

function isSamePlace(a: Candidate, b: Candidate): boolean {
  if (a.file !== b.file) return false;
  return a.range === null || b.range === null ? a.text === b.text : overlap(a.range, b.range);
}

export interface Budget {
  readonly tokens: number;
  /** About how many tokens a line takes. */
  readonly count: (line: string) => number;
}

/** The best that fit. `shown` has the lines that the prompt shows anyway, as `sayingLines` gives them. */
export function fitting(
  ranked: readonly Ranked[],
  { tokens, count }: Budget,
  shown: ReadonlySet<string>,
): Ranked[] {
  const chosen: Ranked[] = [];
  const seen = new Set(shown);
  let left = tokens;
  for (const one of ranked) {
    const own = sayingLines(one.candidate.text);
    const repeated = own.filter((line) => seen.has(line)).length;
    if (own.length === 0 || repeated > REPEATED * own.length) continue;
    const size = sizeOf(one.candidate, count);
    if (size > left) continue;
    left -= size;
    chosen.push(one);
    for (const line of own) seen.add(line);
  }
  return chosen;
}

const SEPARATORS = 2; // tokens around a snippet that are not its text

/** About how many tokens a snippet takes. */
export function sizeOf(
  { path, text }: Pick<Candidate, "path" | "text">,
  count: Budget["count"],
): number {
  return lines(text).reduce((sum, line) => sum + count(line), count(path) + SEPARATORS);
}

/** The lines of a text that are not blank, a bracket or the like. */
export function sayingLines(text: string): string[] {
  return text
    .split(/\r\n?|\n/)
    .map((line) => line.trim())
    .filter((line) => line.length >= MIN_LINE);
}
