// One syntax tree an open document, kept up by parsing only what changed.

import type Parser from "tree-sitter";
import { differenceOf } from "./difference";
import { positionOf } from "./lines";
import { parse } from "./syntax";

interface Parsed {
  readonly text: string;
  readonly languageId: string;
  readonly tree: Parser.Tree | null;
}

export class SyntaxTrees {
  private readonly parsed = new Map<string, Parsed>(); // by URI

  /** The tree of `text`, which is what the document at `uri` holds now; null without a grammar. */
  of(uri: string, languageId: string, text: string): Parser.Tree | null {
    const before = this.parsed.get(uri);
    if (before !== undefined && before.text === text && before.languageId === languageId) {
      return before.tree;
    }
    const reusable = before?.tree != null && before.languageId === languageId ? before : null;
    reusable?.tree?.edit(editBetween(reusable.text, text));
    const tree = parse(languageId, text, reusable?.tree ?? undefined);
    this.parsed.set(uri, { text, languageId, tree });
    return tree;
  }

  forget(uri: string): void {
    this.parsed.delete(uri);
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
