// What a file imports, by its text: a row for each language. Text and not tree, because an import
// that is being written is an error to a parser.

import { languageOf } from "../languages";

export interface Import {
  /** As the file says it. */
  readonly from: string;
  /** What is taken from there; empty: no names, or all. */
  readonly names: readonly string[];
}

const LOOKED_AT = 20_000; // characters; imports stand at a file's start

type Found = readonly (string | undefined)[]; // a match and its groups

interface Row {
  readonly pattern: RegExp;
  readonly imports: (found: Found) => Import | readonly Import[];
}

const scripts: readonly Row[] = [
  {
    pattern: /^[ \t]*(?:import|export)\b([^;"'`]{0,2000}?)\bfrom\s*["']([^"'\n]+)["']/gm,
    imports: ([, clause, from]) => ({ from: from!, names: namesIn(clause!) }),
  },
  {
    pattern:
      /\b(?:const|let|var)\s+([\w$]+|\{[^}]{0,2000}\})\s*=\s*(?:await\s+import|require)\(\s*["']([^"'\n]+)["']/g,
    imports: ([, clause, from]) => ({ from: from!, names: namesIn(clause!) }),
  },
];

const includes: readonly Row[] = [
  {
    pattern: /^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"/gm,
    imports: ([, from]) => ({ from: from!, names: [] }),
  },
];

const rows: Readonly<Record<string, readonly Row[]>> = {
  typescript: scripts,
  javascript: scripts,
  c: includes,
  cpp: includes,
  python: [
    {
      pattern: /^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]{0,2000}\)|[^\n#]*)/gm,
      imports: ([, from, names]) => ({ from: from!, names: namesIn(names!) }),
    },
    {
      pattern: /^[ \t]*import[ \t]+([\w., \t]+)/gm,
      imports: ([, modules]) =>
        modules!.split(",").map((module) => ({ from: module.trim().split(/\s/)[0]!, names: [] })),
    },
  ],
  go: [
    {
      pattern: /^import\s+(?:[\w.]+\s+)?("[^"\n]+")|^import\s*\(([^)]*)\)/gm,
      imports: ([, one, several]) =>
        [...(one ?? several ?? "").matchAll(/"([^"\n]+)"/g)].map(([, from]) => ({
          from: from!,
          names: [],
        })),
    },
  ],
  rust: [
    {
      pattern:
        /^[ \t]*(?:pub(?:\([^)]*\))?\s+)?use\s+((?:crate|super|self)(?:::\w+)*)(?:::(\{[^;]{0,2000}\}|\*))?\s*(?:as\s+\w+\s*)?;/gm,
      imports: ([, path, names]) => rustImport(path!, names),
    },
    {
      pattern: /^[ \t]*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/gm,
      imports: ([, name]) => ({ from: `self::${name}`, names: [] }),
    },
  ],
  java: [
    {
      pattern: /^import\s+(?:static\s+)?([\w.]+?)(\.\*)?\s*;/gm,
      imports: ([, from, all]) => ({
        from: from!,
        names: all === undefined ? [from!.split(".").at(-1)!] : [],
      }),
    },
  ],
};

/** The imports of `text`, in its order; of one module once for each statement. */
export function importsOf(languageId: string, text: string): readonly Import[] {
  const start = text.slice(0, LOOKED_AT);
  const found = (rows[languageOf(languageId)?.name ?? ""] ?? []).flatMap(({ pattern, imports }) =>
    [...start.matchAll(pattern)].map((match) => ({
      at: match.index,
      imports: [imports(match)].flat(),
    })),
  );
  return found.sort((a, b) => a.at - b.at).flatMap(({ imports }) => imports);
}

/** The names in an import's clause, each as the module calls it: of `a as b` a. */
function namesIn(clause: string): string[] {
  return clause
    .replace(/^\s*type\b(?!\s*(?:,|$))|\*\s*as\s+[\w$]+|#[^\n]*/g, " ")
    .split(/[{}(),\n]/)
    .map((part) => /^\s*(?:type\s+)?([\p{L}_$][\p{L}\p{N}_$]*)/u.exec(part)?.[1] ?? "")
    .filter((name) => name !== "" && name !== "type");
}

/** The last part of a path may be a module or an item of one. */
function rustImport(path: string, names: string | undefined): Import {
  if (names !== undefined) return { from: path, names: namesIn(names) };
  return { from: path, names: [path.split("::").at(-1)!] };
}
