// What is proposed for a document, and what of it is accepted: texts and offsets, nothing of VS Code.

import { type Hunk, hunksBetween, withHunk } from "./hunks";
import { withRest } from "./unfinished";

/** UTF-16 offsets, the end not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A change of a document, as VS Code tells of it. */
export interface TextChange {
  readonly rangeOffset: number;
  readonly rangeLength: number;
  readonly text: string;
}

/**
 * A whole document as it would be. Invariant: `base` with all of `hunks` applied is `text`, however
 * many of them have been accepted.
 */
export class Proposal {
  breaksSyntax = false;
  private whole: string;
  private found: readonly Hunk[] | null = null;

  /** `base`: the document; `target`: what of it is replaced, once something is written. */
  constructor(
    private base: string,
    readonly target: Span,
  ) {
    this.whole = base;
  }

  /** `text` is the first part of what will stand in the target's place. */
  writePart(text: string): void {
    const { start, end } = this.target;
    this.write(withRest(this.base.slice(start, end), text));
  }

  /** `text` stands in the target's place. Not once a hunk is accepted. */
  write(text: string, breaksSyntax = false): void {
    const { start, end } = this.target;
    this.breaksSyntax = breaksSyntax;
    this.whole = this.base.slice(0, start) + text + this.base.slice(end);
    this.found = null;
  }

  get text(): string {
    return this.whole;
  }

  /** What is not accepted yet, from the top. */
  get hunks(): readonly Hunk[] {
    this.found ??= hunksBetween(this.base, this.whole);
    return this.found;
  }

  /** Whether the document is what this was made from, with what was accepted since. */
  fits(document: string): boolean {
    return document === this.base;
  }

  accepted(hunk: Hunk): void {
    this.base = withHunk(this.base, hunk);
    this.found = null;
  }
}

/** Where `span` is after `change`. What is written at its edges is in it; an empty one stays empty. */
export function movedBy(span: Span, { rangeOffset, rangeLength, text }: TextChange): Span {
  const changeEnd = rangeOffset + rangeLength;
  const grown = text.length - rangeLength;
  if (changeEnd < span.start) return { start: span.start + grown, end: span.end + grown };
  if (rangeOffset > span.end) return span;
  if (span.start === span.end) {
    const at = Math.min(span.start, rangeOffset + text.length);
    return { start: at, end: at };
  }
  const start = Math.min(span.start, rangeOffset);
  return { start, end: Math.max(span.end, changeEnd) + grown };
}

/** The offset of a place in `text`, which need not be any document's text any more. */
export function offsetOf(text: string, at: { line: number; character: number }): number {
  let start = 0;
  for (let line = 0; line < at.line; line++) start = text.indexOf("\n", start) + 1;
  return start + at.character;
}
