// Where the user has been lately, also in files that were closed since.

import { type OpenDocument, shortPath } from "../document";
import { type Candidate, type LineRange, linesOf, overlap, sameFamily, textOf } from "./candidate";

const MAX_PLACES = 16;
const AROUND = 10; // lines on each side of the cursor
const MAX_TEXT = 4000; // characters of a place that are kept

interface Place {
  readonly uri: string;
  readonly languageId: string;
  readonly lines: LineRange;
  readonly text: string;
}

export class VisitedPlaces {
  private places: Place[] = []; // the last first
  private last: { readonly document: OpenDocument; readonly line: number } | null = null;

  /** The cursor is in `line`, counted from 0. The place it was at before is kept once it is away from there. */
  visit(document: OpenDocument, line: number): void {
    const { last } = this;
    const away = last?.document.uri !== document.uri || Math.abs(last.line - line) > AROUND;
    if (away) this.keep();
    this.last = { document, line };
  }

  closed(uri: string): void {
    if (this.last?.document.uri === uri) this.keep();
  }

  /** The last first, of the same language and not of the same file. */
  candidates({ uri, languageId }: OpenDocument): Candidate[] {
    return this.places
      .filter((place) => place.uri !== uri && sameFamily(place.languageId, languageId))
      .map(({ uri: file, lines: range, text }) => ({
        source: "visited",
        file,
        path: shortPath(file),
        range,
        text,
      }));
  }

  /** Keeps where the cursor was last, instead of what it overlaps. */
  private keep(): void {
    if (this.last === null) return;
    const { document, line } = this.last;
    this.last = null;
    const { uri, languageId } = document;
    const lines = { start: Math.max(0, line - AROUND), end: line + AROUND + 1 };
    const text = textOf(linesOf(document, lines.end), lines);
    if (text.trim() === "" || text.length > MAX_TEXT) return;
    const rest = this.places.filter((place) => place.uri !== uri || !overlap(place.lines, lines));
    this.places = [{ uri, languageId, lines, text }, ...rest].slice(0, MAX_PLACES);
  }
}
