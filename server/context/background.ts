// Work that can wait, in slices so short that no keystroke notices.

import type Parser from "tree-sitter";
import { languageOf } from "../languages";
import { Parsers } from "../parsers";

const SLICE_MS = 3; // then events are handled; tree-sitter overruns it by up to 4 ms
const REST_MS = 3; // as long again: half of one core at most

/** The one thread's spare time. Work asks `due` often, and awaits `rest` when it is. */
export class Background {
  private sliceEnds = 0; // on performance.now's clock
  private running = 0; // completions
  private waiting: (() => void)[] = [];
  private readonly parsers = new Parsers(); // never left half-way
  private parsing: Promise<unknown> = Promise.resolve();
  private closed = false;

  /** Whether the slice is over. */
  get due(): boolean {
    return this.running > 0 || performance.now() >= this.sliceEnds;
  }

  /** Resolves at the start of the next slice; rejects with AbortError once closed. */
  async rest(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    while (this.running > 0 && !this.closed)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.closed) throw new DOMException("The context was closed.", "AbortError");
    this.sliceEnds = performance.now() + SLICE_MS;
  }

  /** A completion runs from now on: nothing happens in the background until the returned function is called. */
  pause(): () => void {
    this.running++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.running--;
      if (this.running > 0) return;
      for (const resolve of this.waiting.splice(0)) resolve();
    };
  }

  /** The syntax tree of `text`; null where there is no grammar. One after another: a parser keeps what it began. */
  parse(languageId: string, text: string): Promise<Parser.Tree | null> {
    const parsed = this.parsing.then(() => this.parseAlone(languageId, text));
    this.parsing = parsed.catch(() => null);
    return parsed;
  }

  private async parseAlone(languageId: string, text: string): Promise<Parser.Tree | null> {
    const language = languageOf(languageId);
    if (language === undefined) return null;
    for (;;) {
      if (this.due) await this.rest();
      const leftMs = this.sliceEnds - performance.now();
      const tree = this.parsers.parse(language, text, null, leftMs);
      if (tree !== null) return tree;
    }
  }

  close(): void {
    this.closed = true;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
