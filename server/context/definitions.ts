// Definitions that the editor's language servers know of: asked for in the background, for the place
// where the user is.

import { type OpenDocument, shortPath } from "../document";
import type { DefinitionNear } from "../protocol";
import { type Candidate, textOf } from "./candidate";

const MAX_LINES = 24; // of one definition
const MOVED_LINES = 8; // within which the answer stays good
const NONE_MS = 10_000; // that it is taken for an answer to know none: a language server takes its time to start
const TIMEOUT_MS = 2000; // beyond the editor's own limit; one that hangs is not asked again meanwhile

/** Who knows definitions. May reject; nothing comes of that. */
export interface DefinitionSource {
  definitionsNear(
    document: OpenDocument,
    offset: number,
    signal: AbortSignal,
  ): Promise<readonly DefinitionNear[]>;
}

interface Answer {
  readonly uri: string;
  readonly line: number;
  readonly time: number;
  readonly definitions: readonly DefinitionNear[];
}

export class Definitions {
  private answer: Answer | null = null;
  private asking: AbortController | null = null;
  private source: DefinitionSource | null = null;

  constructor(private readonly now: () => number = Date.now) {}

  use(source: DefinitionSource): void {
    this.source = source;
  }

  /** Whether nothing is to be waited for. */
  get isReady(): boolean {
    return this.asking === null;
  }

  /** The user is at `offset`, in `line` counted from 0. Asks, unless what is known is of there. */
  visit(document: OpenDocument, offset: number, line: number): void {
    if (this.source === null || this.asking !== null || this.isNear(document.uri, line)) return;
    const asking = new AbortController();
    this.asking = asking;
    const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    void this.ask(this.source, { document, offset, line }, signal).finally(() => {
      this.asking = null;
    });
  }

  /** In the editor's order: the names nearest to the cursor first. */
  candidates(uri: string): Candidate[] {
    if (this.answer?.uri !== uri) return [];
    return this.answer.definitions
      .filter((definition) => definition.uri !== uri && definition.text.trim() !== "")
      .map((definition) => {
        const lines = definition.text.split(/\r\n?|\n/).slice(0, MAX_LINES);
        return {
          source: "definition",
          file: definition.uri,
          path: shortPath(definition.uri),
          range: { start: definition.line, end: definition.line + lines.length },
          text: textOf(lines, { start: 0, end: lines.length }),
        };
      });
  }

  close(): void {
    this.asking?.abort();
  }

  private isNear(uri: string, line: number): boolean {
    const { answer } = this;
    if (answer === null || answer.uri !== uri) return false;
    if (answer.definitions.length === 0 && this.now() - answer.time > NONE_MS) return false;
    return Math.abs(answer.line - line) <= MOVED_LINES;
  }

  private async ask(
    source: DefinitionSource,
    { document, offset, line }: { document: OpenDocument; offset: number; line: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { uri } = document;
    // The source may not heed the signal.
    const over = new Promise<never[]>((resolve) =>
      signal.addEventListener("abort", () => resolve([]), { once: true }),
    );
    const asked = source.definitionsNear(document, offset, signal).catch(() => []);
    const definitions = await Promise.race([asked, over]);
    this.answer = { uri, line, time: this.now(), definitions };
  }
}
