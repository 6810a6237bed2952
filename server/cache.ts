// Completions by the text that they continue. Typing along a proposal costs no model call.

import type { Cursor } from "./prompt";

const CAPACITY = 256;
const MAX_TYPED = 96; // characters; beyond them, asking the model again is the better bet
const PREFIX_KEY = 2048; // characters that tell one place from another
const SUFFIX_KEY = 512;

type Place = Pick<Cursor, "prefix" | "suffix" | "path">;

function keyOf({ prefix, suffix, path }: Place): string {
  return `${path}\0${prefix.slice(-PREFIX_KEY)}\0${suffix.slice(0, SUFFIX_KEY)}`;
}

/** What was proposed where; an empty completion is an answer too. */
export class CompletionCache {
  private readonly entries = new Map<string, string>(); // the oldest first

  store(place: Place, completion: string): void {
    const key = keyOf(place);
    this.entries.delete(key);
    this.entries.set(key, completion);
    if (this.entries.size <= CAPACITY) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      break;
    }
  }

  /** The completion at `place`, also when its first characters have been typed since it was stored. */
  find(place: Place): string | undefined {
    const exact = this.entries.get(keyOf(place));
    if (exact !== undefined) return exact;
    const { prefix, suffix, path } = place;
    for (let typed = 1; typed <= Math.min(MAX_TYPED, prefix.length); typed++) {
      const start = prefix.length - typed;
      const completion = this.entries.get(keyOf({ prefix: prefix.slice(0, start), suffix, path }));
      if (completion === undefined || completion.length <= typed) continue;
      if (completion.startsWith(prefix.slice(start))) return completion.slice(typed);
    }
    return undefined;
  }

  clear(): void {
    this.entries.clear();
  }
}
