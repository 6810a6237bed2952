// What else the model should see beside the file: the open tabs, the most alike part of each.

import { type OpenDocument, shortPath } from "../document";
import type { Snippet } from "../prompt";

const MAX_TABS = 3;
const WINDOW = 24; // lines of a snippet
const AROUND = 2000; // characters on each side of the cursor that say what is alike
const MAX_TEXT = 200_000; // characters of a tab that are looked at
const MIN_ALIKE = 0.08; // Jaccard index below which a snippet is about something else

interface Pinned {
  readonly key: string;
  readonly snippets: readonly Snippet[];
}

/**
 * Chooses snippets when the user comes to a file, and keeps them while typing in it: they stand at the
 * start of the prompt, and another choice would mean reading all of it anew.
 */
export class Context {
  private pinned: Pinned | null = null;

  /** Snippets for a cursor in `document`, of the `others` seen most recently first. */
  gather(
    document: OpenDocument,
    offset: number,
    others: readonly OpenDocument[],
  ): readonly Snippet[] {
    const tabs = others
      .filter(
        ({ uri, languageId }) => uri !== document.uri && alike(languageId, document.languageId),
      )
      .slice(0, MAX_TABS);
    const key = JSON.stringify([document.uri, ...tabs.map(({ uri, version }) => [uri, version])]);
    if (this.pinned?.key === key) return this.pinned.snippets;
    const around = document.text.slice(Math.max(0, offset - AROUND), offset + AROUND);
    const wanted = words(around);
    const found = tabs.flatMap((tab) => bestWindow(tab, wanted));
    found.sort((a, b) => a.score - b.score); // the most alike last, nearest to the cursor
    this.pinned = { key, snippets: found.map(({ snippet }) => snippet) };
    return this.pinned.snippets;
  }
}

const family = (languageId: string) => languageId.replace(/react$/, "").replace("type", "java");

function alike(a: string, b: string): boolean {
  return family(a) === family(b);
}

function words(text: string): Set<string> {
  return new Set(text.match(/[A-Za-z_]\w{2,}/g) ?? []);
}

/** |a ∩ b| / |a ∪ b| */
function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let common = 0;
  for (const word of a) if (b.has(word)) common++;
  return common === 0 ? 0 : common / (a.size + b.size - common);
}

function bestWindow(
  tab: OpenDocument,
  wanted: ReadonlySet<string>,
): { snippet: Snippet; score: number }[] {
  const lines = tab.text.slice(0, MAX_TEXT).split("\n");
  let best = { score: 0, start: 0 };
  for (let start = 0; start < lines.length; start += WINDOW / 2) {
    const score = jaccard(words(lines.slice(start, start + WINDOW).join("\n")), wanted);
    if (score > best.score) best = { score, start };
  }
  if (best.score < MIN_ALIKE) return [];
  const text = `${lines.slice(best.start, best.start + WINDOW).join("\n")}\n`;
  return [{ score: best.score, snippet: { path: shortPath(tab.uri), text } }];
}
