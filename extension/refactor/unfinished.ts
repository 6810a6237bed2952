// What is shown while code is still being written: what is there, then the rest of the old code, so that
// the diff shows what has changed so far and not all that is yet to come as gone.

const WORK = 1_000_000; // pairs of lines that are compared at most, a few milliseconds

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
  if (old.length * lines.length > WORK) return Math.min(old.length, lines.length);
  // common[j]: how many lines all of `lines` so far have in common with the first j of `old`.
  let common = new Uint32Array(old.length + 1);
  for (const line of lines) {
    const grown = new Uint32Array(old.length + 1);
    for (let j = 1; j <= old.length; j++) {
      grown[j] = old[j - 1] === line ? common[j - 1]! + 1 : Math.max(common[j]!, grown[j - 1]!);
    }
    common = grown;
  }
  return common.indexOf(common.at(-1)!);
}
