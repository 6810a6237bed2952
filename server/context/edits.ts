// What the user has edited lately, in all documents: shown as the code is now, since models were
// trained on code and not on diffs.

import { differenceOf } from "../difference";
import { type OpenDocument, shortPath } from "../document";
import { breaksIn } from "../lines";
import { type Candidate, type LineRange, linesOf, textOf } from "./candidate";

const MAX_EDITS = 6;
const NEAR = 8; // lines between two edits that are one
const AROUND = 3; // lines shown on each side
const MAX_SHOWN = 24; // lines of one edit
const RECENT_MS = 10 * 60_000;

interface Edit {
  readonly uri: string;
  readonly lines: LineRange;
  /** Of them, what changed last. */
  readonly last: LineRange;
  readonly time: number;
}

export class RecentEdits {
  private edits: Edit[] = []; // the last first
  private readonly documents = new Map<string, { document: OpenDocument; text: string }>(); // by URI

  constructor(private readonly now: () => number = Date.now) {}

  /** The document was opened, or edited since it was last heard of. */
  changed(document: OpenDocument): void {
    const before = this.documents.get(document.uri);
    const { text } = document;
    this.documents.set(document.uri, { document, text });
    if (before === undefined || before.text === text) return;
    const change = changeBetween(before.text, text);
    const moved = this.edits.map((edit) =>
      edit.uri === document.uri
        ? { ...edit, lines: shifted(edit.lines, change), last: shifted(edit.last, change) }
        : edit,
    );
    const near = (edit: Edit) =>
      edit.uri === document.uri &&
      edit.lines.start - NEAR < change.end &&
      change.start < edit.lines.end + NEAR;
    const merged = moved.filter(near);
    const lines = {
      start: Math.min(change.start, ...merged.map((edit) => edit.lines.start)),
      end: Math.max(change.end, ...merged.map((edit) => edit.lines.end)),
    };
    const rest = moved.filter((edit) => !near(edit));
    this.edits = [{ uri: document.uri, lines, last: change, time: this.now() }, ...rest].slice(
      0,
      MAX_EDITS,
    );
  }

  closed(uri: string): void {
    this.documents.delete(uri);
    this.edits = this.edits.filter((edit) => edit.uri !== uri);
  }

  /** The last first; of the document at `uri` none, whose edits its own text shows, and none of the languages `off`. */
  candidates(uri: string, off: ReadonlySet<string>): Candidate[] {
    return this.edits
      .filter((edit) => edit.uri !== uri && this.now() - edit.time < RECENT_MS)
      .flatMap((edit) => {
        const open = this.documents.get(edit.uri);
        if (open === undefined || off.has(open.document.languageId)) return [];
        const range = shownOf(edit);
        const text = textOf(linesOf(open.document, range.end), range);
        if (text.trim() === "") return []; // all of it was removed
        return [
          { source: "edit", file: edit.uri, path: shortPath(edit.uri), range, text } as const,
        ];
      });
  }
}

/** The edit with what is around it; of a long one the part that changed last. */
function shownOf({ lines, last }: Edit): LineRange {
  const [first, end] = [Math.max(0, lines.start - AROUND), lines.end + AROUND];
  if (end - first <= MAX_SHOWN) return { start: first, end };
  const start = Math.min(Math.max(first, last.start - AROUND), end - MAX_SHOWN);
  return { start, end: start + MAX_SHOWN };
}

interface Change extends LineRange {
  /** How many lines more there are behind it. */
  readonly added: number;
}

/** The lines of `after` that differ from `before`: all between their common start and common end. */
function changeBetween(before: string, after: string): Change {
  const { start, beforeEnd, afterEnd } = differenceOf(before, after);
  const first = breaksIn(after, 0, start);
  const within = breaksIn(after, start, afterEnd);
  const removed = breaksIn(before, start, beforeEnd);
  return { start: first, end: first + within + 1, added: within - removed };
}

/** Where lines are after a change that stands before or in them. */
function shifted(lines: LineRange, change: Change): LineRange {
  const oldEnd = change.end - change.added;
  if (lines.end <= change.start) return lines;
  if (lines.start >= oldEnd) {
    return { start: lines.start + change.added, end: lines.end + change.added };
  }
  return {
    start: Math.min(lines.start, change.start),
    end: Math.max(change.end, lines.end + change.added),
  };
}
