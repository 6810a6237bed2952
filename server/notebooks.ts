// A notebook's cells in one language as the program that they are: to a model it is one file, and the
// cells before and behind one are its surroundings.

import type { OpenDocument } from "./document";

export interface Notebook {
  readonly uri: string;
  /** Another one with each change of any cell. */
  readonly version: number;
}

export interface Program {
  readonly document: OpenDocument;
  /** Where each cell's text starts in the document's, in UTF-16 units; by the cells' URIs, in their order. */
  readonly starts: ReadonlyMap<string, number>;
}

const BETWEEN = "\n\n"; // as formatters part what stands at the top of a file

/** The URI of a notebook's program in one language. It leads to the notebook's file, and is no cell's. */
export function programUri(notebook: string, languageId: string): string {
  return `${notebook}#${encodeURIComponent(languageId)}`;
}

/** The notebook and the language that a program's URI names; null where it is another's. */
export function programNamed(uri: string): { notebook: string; languageId: string } | null {
  const [, notebook, language] = /^(.*)#(.*)$/s.exec(uri) ?? [];
  if (notebook === undefined || language === undefined) return null;
  return { notebook, languageId: decodeURIComponent(language) };
}

/** The program in `languageId` of a notebook with these `cells`. */
export function programOf(
  { uri, version }: Notebook,
  cells: readonly OpenDocument[],
  languageId: string,
): Program {
  const starts = new Map<string, number>();
  let text = "";
  for (const cell of cells) {
    if (cell.languageId !== languageId) continue;
    if (starts.size > 0) text += BETWEEN;
    starts.set(cell.uri, text.length);
    text += cell.text;
  }
  return { document: { uri: programUri(uri, languageId), languageId, version, text }, starts };
}

/** The cell that `offset` of a program's text lies in, or behind. */
export function cellAt({ starts }: Program, offset: number): string | null {
  let found: string | null = null;
  for (const [uri, start] of starts) if (start <= offset) found = uri;
  return found;
}
