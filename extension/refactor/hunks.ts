// What differs between two texts, in whole lines; and one text with one of the differences applied.

import { diffArrays } from "diff";

/** Lines of `before` that other lines of `after` stand in place of. Either may be none. */
export interface Hunk {
  readonly beforeLine: number;
  readonly beforeLines: number;
  readonly afterLine: number;
  readonly afterLines: number;
  /** Offsets into `before`, and what stands between them instead. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const DIFF_MS = 500; // then all that differs is one hunk

/** From the top, no two of them touching. */
export function hunksBetween(before: string, after: string): Hunk[] {
  const old = linesOf(before);
  const next = linesOf(after);
  const parts = diffArrays(old, next, { timeout: DIFF_MS });
  if (parts === undefined) return [hunkOf(old, next)];
  const hunks: Hunk[] = [];
  let place = { beforeLine: 0, afterLine: 0, start: 0 };
  for (let i = 0; i < parts.length; ) {
    const removed: string[] = [];
    const added: string[] = [];
    for (; i < parts.length && (parts[i]!.removed || parts[i]!.added); i++) {
      (parts[i]!.removed ? removed : added).push(...parts[i]!.value);
    }
    if (removed.length + added.length > 0) {
      const hunk = hunkAtPlace(place, removed, added);
      hunks.push(hunk);
      place = {
        beforeLine: hunk.beforeLine + hunk.beforeLines,
        afterLine: hunk.afterLine + hunk.afterLines,
        start: hunk.end,
      };
    }
    for (; i < parts.length && !parts[i]!.removed && !parts[i]!.added; i++) {
      const { value } = parts[i]!;
      place = {
        beforeLine: place.beforeLine + value.length,
        afterLine: place.afterLine + value.length,
        start: place.start + lengthOf(value),
      };
    }
  }
  return hunks;
}

type Place = Pick<Hunk, "beforeLine" | "afterLine" | "start">;

function hunkAtPlace(place: Place, removed: readonly string[], added: readonly string[]): Hunk {
  return {
    ...place,
    beforeLines: removed.length,
    afterLines: added.length,
    end: place.start + lengthOf(removed),
    text: added.join(""),
  };
}

/** All that differs, as one. */
function hunkOf(old: readonly string[], next: readonly string[]): Hunk {
  const shorter = Math.min(old.length, next.length);
  let top = 0;
  while (top < shorter && old[top] === next[top]) top++;
  let bottom = 0;
  while (bottom < shorter - top && old.at(-1 - bottom) === next.at(-1 - bottom)) bottom++;
  const place = { beforeLine: top, afterLine: top, start: lengthOf(old.slice(0, top)) };
  const upTo = ({ length }: readonly string[]) => length - bottom;
  return hunkAtPlace(place, old.slice(top, upTo(old)), next.slice(top, upTo(next)));
}

/** Lines with their line breaks; none in an empty text. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

const lengthOf = (lines: readonly string[]) => lines.reduce((sum, { length }) => sum + length, 0);

export function withHunk(before: string, { start, end, text }: Hunk): string {
  return before.slice(0, start) + text + before.slice(end);
}

/** The hunk that `line` of one side is in, or next to where that side has none of its lines. */
export function hunkAt(
  hunks: readonly Hunk[],
  line: number,
  side: "before" | "after",
): Hunk | undefined {
  const linesIn = (hunk: Hunk) =>
    side === "before"
      ? { first: hunk.beforeLine, count: hunk.beforeLines }
      : { first: hunk.afterLine, count: hunk.afterLines };
  const within = hunks.find((hunk) => {
    const { first, count } = linesIn(hunk);
    return line >= first && line < first + count;
  });
  const beside = (hunk: Hunk) => {
    const { first, count } = linesIn(hunk);
    return count === 0 && (line === first || line === first - 1);
  };
  return within ?? hunks.find(beside);
}
