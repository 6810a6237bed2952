// Completions by the text that they continue. Typing along a proposal costs no model call.

import type { GeneratedToken } from "./generator";
import { own } from "./lines";
import type { Cursor } from "./prompt";

const CAPACITY = 256;
const MAX_TYPED = 96; // characters; beyond them, asking the model again is the better bet
const PREFIX_KEY = 2048; // characters that tell one place from another
const SUFFIX_KEY = 512;
const END_KEY = 32; // characters before a place that are looked up first

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
  private readonly ends = new Map<string, string>(); // of each key, the oldest first
  private readonly entries = new Map<string, Map<string, Entry>>(); // by end, then by key

  store(place: Place, entry: Entry): void {
    const key = own(keyOf(place));
    const end = own(place.prefix.slice(-END_KEY));
    this.ends.delete(key);
    this.ends.set(key, end);
    const there = this.entries.get(end) ?? new Map<string, Entry>();
    this.entries.set(end, there.set(key, entry));
    if (this.ends.size <= CAPACITY) return;
    for (const [oldest, its] of this.ends) {
      this.ends.delete(oldest);
      const others = this.entries.get(its);
      others?.delete(oldest);
      if (others?.size === 0) this.entries.delete(its);
      break;
    }
  }

  /** What is known at `place`, also when the first characters have been typed since it was stored. */
  find(place: Place): Found | undefined {
    const { prefix } = place;
    const exact = this.entries.get(prefix.slice(-END_KEY))?.get(keyOf(place));
    if (exact !== undefined) return { ...exact, typed: 0 };
    for (let typed = 1; typed <= Math.min(MAX_TYPED, prefix.length); typed++) {
      const start = prefix.length - typed;
      const there = this.entries.get(prefix.slice(Math.max(0, start - END_KEY), start));
      if (there === undefined) continue;
      const along = prefix.slice(start);
      for (const [key, entry] of there) {
        const written = entry.written.filter(
          ({ text, unsure }) => !unsure && text.length > typed && text.startsWith(along),
        );
        if (written.length === 0 || key !== keyOf({ ...place, prefix: prefix.slice(0, start) })) {
          continue; // in this order: a key of 2.5 KB for each place typed through took 0.6 ms, this 0.03
        }
        return { ...entry, written, typed };
      }
    }
    return undefined;
  }

  clear(): void {
    this.ends.clear();
    this.entries.clear();
  }
}
