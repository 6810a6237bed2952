// What is shown while code is still being written: what is there, then the rest of the old code, so that
// the diff shows what has changed so far and not all that is yet to come as gone.

import { diffArrays } from "diff";

const DIFF_MS = 20; // then it is taken to go on line for line

/** `written`, then `original` from where it seems to go on. */
export function withRest(original: string, written: string): string {
  if (written === "") return original;
  const old = original.split("\n");
  const lines = written.split("\n");
  const current = lines.pop()!;
  const next = goesOnAt(old, lines);
  // The line under way is shown once it differs from the old one.
  const same = old[next]?.startsWith(current) === true;
  return [...lines, ...(same ? [] : [current]), ...old.slice(next)].join("\n");
}

/** The line of `old` behind the last one that `lines` have, both gone through in order. */
function goesOnAt(old: readonly string[], lines: readonly string[]): number {
  const parts = diffArrays([...old], [...lines], { timeout: DIFF_MS });
  if (parts === undefined) return Math.min(old.length, lines.length);
  let line = 0;
  let behind = 0;
  for (const { added, removed, count } of parts) {
    if (!added) line += count;
    if (!added && !removed) behind = line;
  }
  return behind;
}
