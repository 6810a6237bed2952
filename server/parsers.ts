// tree-sitter's parsers, and how they stop.

import Parser from "tree-sitter";
import type { Language } from "./languages";

const CHUNK = 8192; // characters handed to tree-sitter at once; one long string fails at 32,768
const NO_LIMIT = 0; // as tree-sitter has it

/** One parser a language. Who stops in the middle of a text needs ones of his own: a parser keeps what it began. */
export class Parsers {
  private readonly parsers = new Map<string, Parser>(); // by language id

  /**
   * The syntax tree of `text`; null if that takes longer than about `limitMs`: the next call goes on, and must be with the
   * same text or after `reset`. `previous` must have been edited to match.
   */
  parse(
    language: Language,
    text: string,
    previous: Parser.Tree | null = null,
    limitMs?: number,
  ): Parser.Tree | null {
    const parser = this.parsers.get(language.id) ?? newParser(language);
    this.parsers.set(language.id, parser);
    // A progress callback would do, but the binding frees none.
    parser.setTimeoutMicros(limitMs === undefined ? NO_LIMIT : Math.max(1, 1000 * limitMs));
    const inChunks = (index: number) => text.slice(index, index + CHUNK);
    return parser.parse(inChunks, previous);
  }

  /** Forgets where the language's parser stopped. */
  reset(language: Language): void {
    this.parsers.get(language.id)?.reset();
  }
}

function newParser(language: Language): Parser {
  const parser = new Parser();
  parser.setLanguage(language.grammar());
  return parser;
}
