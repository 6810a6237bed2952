// The source files of folders, those near the file that is edited first.

import { opendir } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import type { Background } from "./background";
import type { Exclusion } from "./exclusion";
import { isSkippedFolder, isSourcePath } from "./source";

const MAX_FOLDERS = 50_000; // that wait, about 100 bytes each
const MAX_ENTRIES = 10_000; // of one folder; what holds more was not written by people

/** Folders to read, the nearest to a place first. */
export class Walk {
  private waiting = new Map<number, string[]>(); // folders, by their distance
  private size = 0;
  private from = "";
  private generation = 0; // a folder that is being read when all are given up adds none

  constructor(
    private readonly exclusion: Exclusion,
    private readonly background: Background,
  ) {}

  get done(): boolean {
    return this.size === 0;
  }

  add(folder: string): void {
    if (this.size >= MAX_FOLDERS) return;
    const far = distance(this.from, folder);
    const there = this.waiting.get(far);
    if (there === undefined) this.waiting.set(far, [folder]);
    else there.push(folder);
    this.size++;
  }

  clear(): void {
    this.generation++;
    this.waiting.clear();
    this.size = 0;
  }

  /** The user is at `path`: what is near it comes first. */
  near(path: string): void {
    const folder = dirname(path);
    if (folder === this.from) return;
    this.from = folder;
    const all = [...this.waiting.values()].flat();
    this.waiting.clear();
    this.size = 0;
    for (const waiting of all) this.add(waiting);
  }

  /**
   * The source files of the nearest folder; those inside it wait from then on. None where it can't be
   * read, or all was given up meanwhile. Links are not followed: what they point to is reached by its own path, or is elsewhere.
   */
  async next(): Promise<string[]> {
    const nearest = Math.min(...this.waiting.keys());
    const there = this.waiting.get(nearest) ?? [];
    const folder = there.pop();
    if (there.length === 0) this.waiting.delete(nearest);
    if (folder === undefined) return [];
    this.size--;
    const { generation } = this;
    const files: string[] = [];
    let entries = 0;
    try {
      for await (const entry of await opendir(folder)) {
        if (++entries > MAX_ENTRIES) break;
        if (this.background.due) await this.background.rest();
        if (generation !== this.generation) return [];
        const path = join(folder, entry.name);
        const isFolder = entry.isDirectory() && !isSkippedFolder(entry.name);
        const isFile = entry.isFile() && isSourcePath(entry.name);
        if (!isFolder && !isFile) continue;
        if (this.exclusion.becausePath(path, isFolder) !== null) continue;
        if (isFolder) this.add(path);
        else files.push(path);
      }
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
    }
    return files;
  }
}

/** How many folders lie between two. */
function distance(a: string, b: string): number {
  const [one, other] = [a.split(sep), b.split(sep)];
  let same = 0;
  while (same < one.length && one[same] === other[same]) same++;
  return one.length + other.length - 2 * same;
}
