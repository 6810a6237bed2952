// Completions by the text that they continue. Typing along a proposal costs no model call.

import type { GeneratedToken } from "./generator";
import type { Cursor } from "./prompt";

const CAPACITY = 256;
const MAX_TYPED = 96; // characters; beyond them, asking the model again is the better bet
const PREFIX_KEY = 2048; // characters that tell one place from another
const SUFFIX_KEY = 512;

type Place = Pick<Cursor, "prefix" | "suffix" | "path" | "languageId">;

/** What the model wrote at a place, and how sure it was. */
export interface Written {
  /** "" is an answer too: nothing is to be proposed. */
  readonly text: string;
  /** Its tokens, whose text starts with `text`; empty where an endpoint does not say. */
  readonly tokens: readonly GeneratedToken[];
  /** Whether it was given up as too unlikely: its rest was never written. */
  readonly unsure: boolean;
}

export interface Entry {
  /** The likeliest first, at least one. */
  readonly written: readonly Written[];
  /** Whether alternatives were asked for. */
  readonly alternatives: boolean;
}

export interface Found extends Entry {
  /** Characters of each that the user has typed since: what is left starts there. */
  readonly typed: number;
}

function keyOf({ prefix, suffix, path, languageId }: Place): string {
  return `${path}\0${languageId}\0${prefix.slice(-PREFIX_KEY)}\0${suffix.slice(0, SUFFIX_KEY)}`;
}

export class CompletionCache {
  private readonly entries = new Map<string, Entry>(); // the oldest first

  store(place: Place, entry: Entry): void {
    const key = keyOf(place);
    this.entries.delete(key);
    this.entries.set(key, entry);
    if (this.entries.size <= CAPACITY) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      break;
    }
  }

  /** What is known at `place`, also when the first characters have been typed since it was stored. */
  find(place: Place): Found | undefined {
    const exact = this.entries.get(keyOf(place));
    if (exact !== undefined) return { ...exact, typed: 0 };
    const { prefix } = place;
    for (let typed = 1; typed <= Math.min(MAX_TYPED, prefix.length); typed++) {
      const start = prefix.length - typed;
      const entry = this.entries.get(keyOf({ ...place, prefix: prefix.slice(0, start) }));
      if (entry === undefined) continue;
      const along = prefix.slice(start);
      const written = entry.written.filter(
        ({ text, unsure }) => !unsure && text.length > typed && text.startsWith(along),
      );
      if (written.length > 0) return { ...entry, written, typed };
    }
    return undefined;
  }

  clear(): void {
    this.entries.clear();
  }
}
