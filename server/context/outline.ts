// Declarations of other files, without their bodies: of what is imported, and of the names that stand
// around the cursor.

import { type OpenDocument, shortPath } from "../document";
import { languageIdOfPath, languageOf } from "../languages";
import type { SnippetSource } from "../prompt";
import { type Candidate, sameFamily } from "./candidate";
import type { Imported } from "./imported";
import { namesNear } from "./names";
import { keyOf, uriOf } from "./paths";
import type { Located, SymbolIndex } from "./symbolindex";

const MAX_LINES = 24; // of one outline
const MAX_MEMBERS = 12; // of one class
const MAX_OUTLINES = 8;
const MAX_SAME = 3; // definitions of one name: what has more is a word like "get"

/** What is imported, file by file; those whose names stand around the cursor first. */
export function importedOutlines(
  imported: readonly Imported[],
  around: ReadonlySet<string>,
  index: SymbolIndex,
): Candidate[] {
  const used = ({ names }: Imported) => names.filter((name) => around.has(name)).length;
  const ranked = [...imported].sort((a, b) => used(b) - used(a));
  return ranked.slice(0, MAX_OUTLINES).flatMap(({ path, names }) => {
    const all = index.definitionsOf(path);
    const tops = all.filter(({ container }) => container === null);
    const named = tops.filter(({ name }) => names.includes(name));
    const offered = named.length > 0 ? named : tops; // without names all, as a header offers it
    const here = ({ name }: Located) => Number(around.has(name));
    const ordered = [...offered].sort((a, b) => here(b) - here(a));
    return outline(
      "import",
      path,
      ordered.flatMap((top) => [top, ...membersOf(top, all)]),
    );
  });
}

function membersOf({ name, kind }: Located, all: readonly Located[]): Located[] {
  if (kind !== "class" && kind !== "type") return [];
  return all.filter(({ container }) => container === name).slice(0, MAX_MEMBERS);
}

/** The definitions, elsewhere, of the names that stand around the cursor; the nearest names first. */
export function namedOutlines(
  document: OpenDocument,
  offset: number,
  index: SymbolIndex,
): Candidate[] {
  const own = keyOf(document.uri);
  const byFile = new Map<string, Located[]>(); // in the order of the names
  for (const { name } of namesNear(document.text, offset)) {
    const definitions = index.find(name);
    if (definitions.length > MAX_SAME || definitions.some(({ path }) => path === own)) continue;
    for (const definition of definitions) {
      if (!sameFamily(languageIdOfPath(definition.path), document.languageId)) continue;
      const there = byFile.get(definition.path);
      if (there === undefined) byFile.set(definition.path, [definition]);
      else there.push(definition);
    }
  }
  return Array.from(byFile)
    .slice(0, MAX_OUTLINES)
    .flatMap(([path, definitions]) => outline("symbol", path, definitions));
}

/** The first of a file's `definitions`, as many as a snippet holds, in the file's order; members stand in their class. */
function outline(
  source: SnippetSource,
  path: string,
  definitions: readonly Located[],
): Candidate[] {
  const chosen: Located[] = [];
  let size = 0;
  for (const definition of new Set(definitions)) {
    size += definition.signature.split("\n").length;
    if (size > MAX_LINES) break;
    chosen.push(definition);
  }
  if (chosen.length === 0) return [];
  const names = new Set(chosen.map(({ name }) => name));
  const comment = languageOf(languageIdOfPath(path))?.lineComment ?? "//";
  const lines = chosen
    .sort((a, b) => a.line - b.line)
    .flatMap(({ signature, container }) => {
      const shown = signature.split("\n");
      if (container === null) return shown;
      return names.has(container)
        ? shown.map((line) => `  ${line}`)
        : [`${comment} ${container}`, ...shown];
    });
  const text = `${lines.join("\n")}\n`;
  return [{ source, file: uriOf(path), path: shortPath(path), range: null, text }];
}
