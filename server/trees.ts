// One syntax tree an open document, kept up by parsing only what changed.
//
// Most keys take less than a millisecond. But behind an open bracket or string, tree-sitter may follow
// several ways to go on up to the end of the text, and reuses nothing meanwhile. A completion does not
// wait for that: the parse begins with the key, and goes on in the background.

import type Parser from "tree-sitter";
import { differenceOf } from "./difference";
import type { OpenDocument } from "./document";
import { type Language, languageOf } from "./languages";
import { positionOf } from "./lines";
import { Parsers } from "./parsers";

const BUDGET_MS = 3; // that a completion waits for its tree
/** Characters: 20 ms a key. What is larger is generated, or data, and no completion has it parsed. */
export const MAX_PARSED = 500_000;
const SLICE_MS = 2; // of parsing in the background
const REST_MS = 1; // before each slice: events are handled, as the request right behind a change

/** What a completion knows of its text's syntax. */
export interface KnownSyntax {
  /** null: there is no grammar. */
  readonly tree: Parser.Tree | null;
  /** Whether the tree is the text's own; else it is an earlier one's, its nodes moved with the edits since. */
  readonly isExact: boolean;
}

interface Kept {
  readonly language: Language;
  readonly text: string;
  /** null: nothing has been parsed yet. */
  tree: Parser.Tree | null;
  isExact: boolean;
  /** Whether a completion has waited for it. */
  isLate: boolean;
}

export class SyntaxTrees {
  private readonly kept = new Map<string, Kept>(); // by URI
  private readonly parsers = new Parsers();
  /** The one that is parsed in slices. Its parser may have stopped midway: it must be reset before another's. */
  private underWay: Kept | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly budgetMs = BUDGET_MS) {}

  /** The tree of `text`, which is what the document at `uri` holds now; null without a grammar. */
  of(uri: string, languageId: string, text: string): Parser.Tree | null {
    const kept = this.keep(uri, languageId, text);
    if (kept === null) return null;
    this.parse(kept);
    return kept.tree;
  }

  /** The same if it is the first one, or there in a few milliseconds; else what is left of the last one. */
  soon(uri: string, languageId: string, text: string): KnownSyntax {
    const kept = this.keep(uri, languageId, text);
    if (kept === null) return { tree: null, isExact: true };
    if (kept.tree === null) this.parse(kept);
    else if (!kept.isLate) this.parse(kept, this.budgetMs);
    kept.isLate = !kept.isExact;
    this.goOn(kept);
    const { tree, isExact } = kept;
    return { tree, isExact };
  }

  /** The document was edited: if its tree has been asked for, it will be again. */
  changed(document: OpenDocument): void {
    const { uri, languageId } = document;
    if (document.text.length > MAX_PARSED) this.forget(uri);
    if (!this.kept.has(uri)) return;
    const kept = this.keep(uri, languageId, document.text);
    if (kept !== null) this.goOn(kept);
  }

  forget(uri: string): void {
    const kept = this.kept.get(uri);
    this.kept.delete(uri);
    if (kept === undefined || kept !== this.underWay) return;
    this.parsers.reset(kept.language);
    this.underWay = null;
  }

  /** What is known of `text`, an earlier text's tree edited to match; null without a grammar. */
  private keep(uri: string, languageId: string, text: string): Kept | null {
    const language = languageOf(languageId);
    const before = this.kept.get(uri);
    if (before !== undefined && before.text === text && before.language === language) return before;
    this.kept.delete(uri);
    if (language === undefined) return null;
    const tree = before?.language === language ? before.tree : null;
    if (before !== undefined) tree?.edit(editBetween(before.text, text));
    const kept = { language, text, tree, isExact: false, isLate: false };
    this.kept.set(uri, kept);
    return kept;
  }

  /** Parses, or goes on where it stopped; not longer than `limitMs`, if given. */
  private parse(kept: Kept, limitMs?: number): void {
    if (kept.isExact) return;
    this.take(kept);
    const tree = this.parsers.parse(kept.language, kept.text, kept.tree, limitMs);
    if (tree === null) return;
    kept.tree = tree;
    kept.isExact = true;
    this.underWay = null;
  }

  /** From now on `kept` is the one that is parsed: its parser forgets where it stopped in another text. */
  private take(kept: Kept): void {
    if (this.underWay === kept) return;
    if (this.underWay !== null) this.parsers.reset(this.underWay.language);
    this.underWay = kept;
  }

  /** Parses the rest of it in the background. */
  private goOn(kept: Kept): void {
    if (kept.isExact) return;
    this.take(kept);
    this.timer?.refresh(); // what has just been waited for is followed by more that should not wait
    this.timer ??= setTimeout(() => this.slice(), REST_MS).unref();
  }

  private slice(): void {
    const kept = this.underWay;
    this.timer = null;
    if (kept === null) return;
    this.parse(kept, SLICE_MS);
    this.goOn(kept);
  }
}

function editBetween(before: string, after: string): Parser.Edit {
  const { start, beforeEnd, afterEnd } = differenceOf(before, after);
  return {
    startIndex: start,
    oldEndIndex: beforeEnd,
    newEndIndex: afterEnd,
    startPosition: pointAt(before, start),
    oldEndPosition: pointAt(before, beforeEnd),
    newEndPosition: pointAt(after, afterEnd),
  };
}

function pointAt(text: string, index: number): Parser.Point {
  const { line, character } = positionOf(text, index);
  return { row: line, column: character };
}
