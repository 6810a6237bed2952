// The open tabs: of each the part that is most alike what stands around the cursor.

import { type OpenDocument, shortPath } from "../document";
import { type Candidate, jaccard, linesOf, sameFamily, textOf, wordsOf } from "./candidate";

const MAX_TABS = 6;
const WINDOW = 24; // lines
const MAX_LINES = 2000; // of a tab that are looked at; reading their words takes about 4 ms
const MIN_ALIKE = 0.08; // Jaccard index below which a window is about something else
const KEPT_TABS = 16;

interface Windows {
  readonly version: number;
  readonly lines: readonly string[];
  readonly words: readonly ReadonlySet<string>[]; // of each window, half a window apart
}

/** Keeps each tab's words, so that looking for the most alike window is a few set operations. */
export class Tabs {
  private readonly windows = new Map<string, Windows>(); // by URI, the last used last

  /** The most alike window of each of `others` first; at most one a tab. */
  candidates(
    { uri, languageId }: OpenDocument,
    around: ReadonlySet<string>,
    others: readonly OpenDocument[],
  ): Candidate[] {
    const tabs = others
      .filter((tab) => tab.uri !== uri && sameFamily(tab.languageId, languageId))
      .slice(0, MAX_TABS);
    const best = tabs.flatMap((tab) => this.bestWindow(tab, around));
    return best.sort((a, b) => b.score - a.score).map(({ candidate }) => candidate);
  }

  /** Reads a tab's words ahead of time. */
  prepare(tab: OpenDocument): Windows {
    const before = this.windows.get(tab.uri);
    this.windows.delete(tab.uri);
    const current = before?.version === tab.version ? before : windowsOf(tab);
    this.windows.set(tab.uri, current);
    if (this.windows.size > KEPT_TABS) this.windows.delete(this.windows.keys().next().value!);
    return current;
  }

  closed(uri: string): void {
    this.windows.delete(uri);
  }

  private bestWindow(tab: OpenDocument, around: ReadonlySet<string>) {
    const { words, lines } = this.prepare(tab);
    let best = { score: 0, index: 0 };
    for (const [index, window] of words.entries()) {
      const score = jaccard(window, around);
      if (score > best.score) best = { score, index };
    }
    if (best.score < MIN_ALIKE) return [];
    const start = best.index * (WINDOW / 2);
    const range = { start, end: start + WINDOW };
    const text = textOf(lines, range);
    const candidate: Candidate = {
      source: "tab",
      file: tab.uri,
      path: shortPath(tab.uri),
      range,
      text,
    };
    return [{ score: best.score, candidate }];
  }
}

function windowsOf(tab: OpenDocument): Windows {
  const lines = linesOf(tab, MAX_LINES);
  const words: Set<string>[] = [];
  for (let start = 0; start < lines.length; start += WINDOW / 2) {
    words.push(wordsOf(lines.slice(start, start + WINDOW).join("\n")));
  }
  return { version: tab.version, lines, words };
}
