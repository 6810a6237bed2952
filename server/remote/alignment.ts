// An answer's tokens against its text: a server may name one that has only a part of a character by its
// bytes (bytes:\xe4\xb8), or as the replacement character.

import type { GeneratedToken } from "../generator";

const MAX_RUN = 64; // tokens; a hostile server names any number of parts

const BYTES = /^bytes:((?:\\x[\da-f]{2})+)$/i;

/** A token's text, each byte that is only a part of a character as U+FFFD. */
const spelt = (text: string) => {
  const bytes = BYTES.exec(text)?.[1];
  return bytes === undefined ? text : "\uFFFD".repeat(bytes.length / 4);
};
const isPart = (text: string) => spelt(text).includes("\uFFFD");

/**
 * `tokens` with those as one that have parts of the same characters, so that they begin with `text`. Empty
 * where they are not `text`: some servers name tokens as their vocabulary has them.
 */
export function alignedTokens(tokens: readonly GeneratedToken[], text: string): GeneratedToken[] {
  const aligned: GeneratedToken[] = [];
  let at = 0;
  for (let i = 0; i < tokens.length; ) {
    const token = tokens[i]!;
    if (meets(text, at, token.text)) {
      aligned.push(token);
      at += token.text.length;
      i++;
      continue;
    }
    const parts = run(tokens, i, isPart);
    const whole = run(tokens, i + parts.length, (next) => !isPart(next));
    const end = parts.length === 0 ? null : endOfParts(text, at, parts, whole);
    if (end === null) return [];
    const logProbability = parts.reduce((sum, part) => sum + part.logProbability, 0);
    aligned.push({ text: text.slice(at, end), logProbability });
    at = end;
    i += parts.length;
  }
  return at < text.length ? [] : aligned;
}

/** Whether `text` goes on with `next` at `at`, as far as it goes. */
function meets(text: string, at: number, next: string): boolean {
  return (
    text.startsWith(next, at) || (text.length - at < next.length && next.startsWith(text.slice(at)))
  );
}

/** The tokens from `from` on that belong together, at most MAX_RUN. */
function run(
  tokens: readonly GeneratedToken[],
  from: number,
  belongs: (text: string) => boolean,
): readonly GeneratedToken[] {
  let end = from;
  while (end < tokens.length && end - from < MAX_RUN && belongs(tokens[end]!.text)) end++;
  return tokens.slice(from, end);
}

/** Where what `parts` are of ends in `text`, which goes on with `whole` there; null: nowhere. */
function endOfParts(
  text: string,
  at: number,
  parts: readonly GeneratedToken[],
  whole: readonly GeneratedToken[],
): number | null {
  if (whole.length === 0) return text.length;
  const next = whole.map((token) => token.text).join("");
  const all = parts.map((token) => spelt(token.text)).join("") + next;
  let end = at;
  for (const [, unknown = "", known = ""] of all.matchAll(/(\uFFFD*)([^\uFFFD]*)/g)) {
    const most = end + 2 * unknown.length; // a character has two units at most
    if (unknown !== "") end++; // and all parts together are one at least
    while (end < most && !meets(text, end, known)) end++;
    if (!meets(text, end, known)) return null;
    end += known.length;
  }
  return Math.min(text.length, end - next.length);
}
