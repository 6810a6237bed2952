// Where two versions of a text differ.

export interface Difference {
  /** Both are the same before it. UTF-16 units, as all here. */
  readonly start: number;
  readonly beforeEnd: number;
  readonly afterEnd: number;
}

/** The one edit that makes `after` of `before`: what is between their common start and common end. */
export function differenceOf(before: string, after: string): Difference {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  let end = 0;
  while (
    end < shorter - start &&
    before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)
  ) {
    end++;
  }
  return { start, beforeEnd: before.length - end, afterEnd: after.length - end };
}
