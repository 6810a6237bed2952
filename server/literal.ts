// Texts as patterns.

/** The source of a pattern that matches any of `texts` as they stand, the longest first; null: there is none. */
export function anyOf(texts: readonly string[]): string | null {
  const escaped = texts
    .filter((text) => text !== "")
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return escaped.length === 0 ? null : escaped.join("|");
}
