// A notebook's cell as a part of its program: the cells before and behind it are its surroundings.

import type { OpenDocument } from "./document";

/** A cell within its notebook. */
export interface Cell {
  readonly document: OpenDocument;
  /** Where the cell's own text starts in it, in UTF-16 units. */
  readonly start: number;
}

const BETWEEN = "\n\n"; // as formatters part what stands at the top of a file

/**
 * The code cells of `cells` that are in the language of the one at `uri`, as one document; null if
 * there is no such cell. Its version changes with any of theirs.
 */
export function cellInNotebook(uri: string, cells: readonly OpenDocument[]): Cell | null {
  const cell = cells.find((each) => each.uri === uri);
  if (cell === undefined) return null;
  const same = cells.filter(({ languageId }) => languageId === cell.languageId);
  const before = same.slice(0, same.indexOf(cell));
  const head = before.map(({ text }) => text + BETWEEN).join("");
  const tail = same
    .slice(before.length + 1)
    .map(({ text }) => BETWEEN + text)
    .join("");
  const version = same.reduce((sum, each) => sum + each.version, 0);
  return {
    document: { uri, languageId: cell.languageId, version, text: head + cell.text + tail },
    start: head.length,
  };
}
