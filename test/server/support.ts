// What the server's tests share: the bar as cursor, and a vocabulary that can be read back.
import type { Cursor, Vocabulary } from "../../server/prompt";

/** The cursor where the bar stands in `source`. */
export function at(source: string, path = "src/a.ts", languageId = "typescript"): Cursor {
  const bar = source.indexOf("|");
  return { prefix: source.slice(0, bar), suffix: source.slice(bar + 1), path, languageId };
}

const specials = ["<sep>", "<prefix>", "<suffix>", "<middle>"];

/** One token a UTF-16 unit, the specials below them. */
export const vocabulary: Vocabulary = {
  encode: (text) => Array.from(text.split(""), (unit) => unit.charCodeAt(0) + specials.length),
  fileSep: 0,
  fimPrefix: 1,
  fimSuffix: 2,
  fimMiddle: 3,
};

/** The text of `tokens`, specials by name. */
export function read(tokens: Uint32Array): string {
  const one = (token: number) => specials[token] ?? String.fromCharCode(token - specials.length);
  return Array.from(tokens, one).join("");
}
