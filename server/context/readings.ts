// Files that were read: whether they say something else by now, without anybody watching them.

import { readFileSync, statSync } from "node:fs";

interface Reading {
  readonly stamp: string;
  readonly meaning: string | null;
  readonly meaningOf: (text: string) => string;
}

export class Readings {
  private readonly readings = new Map<string, Reading>(); // by path

  /**
   * The text of the file at `path`, which is remembered; null where it can't be read. `meaningOf` gives
   * the part of its text that matters, all of it unless given.
   */
  read(path: string, meaningOf = (text: string) => text): string | null {
    const stamp = stampOf(path); // before the text: a change between them is seen
    const text = textOf(path);
    this.readings.set(path, { stamp, meaning: text === null ? null : meaningOf(text), meaningOf });
    return text;
  }

  /** Whether any of them says something else than when it was read. A file that only was written anew does not. */
  get haveChanged(): boolean {
    for (const [path, { stamp, meaning, meaningOf }] of this.readings) {
      if (stampOf(path) === stamp) continue;
      this.read(path, meaningOf);
      if (this.readings.get(path)!.meaning !== meaning) return true;
    }
    return false;
  }

  clear(): void {
    this.readings.clear();
  }
}

/** null: there is no such file, or it can't be read. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Another one once the file at `path` has changed; empty: it can't be read. */
function stampOf(path: string): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? "" : `${found.mtimeMs} ${found.size} ${found.ino}`;
  } catch {
    return "";
  }
}
