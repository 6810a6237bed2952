// Places in files where a line was really written: in this repository's history, and in packages.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { diffLines } from "diff";
import { isSourcePath } from "../../server/context/source";

const root = join(__dirname, "..", "..");
const COMMITS = 132;
const MAX_FILE = 40_000; // characters

/** A file before and after an edit, of which line `line` (counted from 0) is part. */
export interface Edited {
  readonly path: string;
  readonly before: string;
  readonly after: string;
  readonly line: number;
}

export interface Place {
  readonly workspace: string;
  readonly target: Edited;
  readonly others: readonly Edited[];
}

const git = (...args: string[]) =>
  execFileSync("git", args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });

/** Lines that were written in `after`, with enough in them to be guessed. */
function writtenLines(before: string, after: string): number[] {
  const lines: number[] = [];
  let line = 0;
  for (const { added, removed, value, count } of diffLines(before, after)) {
    const texts = value.split("\n");
    if (added)
      for (let i = 0; i < count; i++) if (/\w.*\w.*\w/.test(texts[i]!)) lines.push(line + i);
    if (!removed) line += count;
  }
  return lines;
}

/** Samples of places, of which `random` says which. */
export class WrittenPlaces {
  constructor(private readonly random: () => number) {}

  /** Lines that a commit of this repository wrote, with files of the same commit. */
  ofHistory(count: number): Place[] {
    const commits = git("log", "--no-merges", "--format=%H", "-n", String(COMMITS))
      .trim()
      .split("\n");
    const places: Place[] = [];
    for (let tries = 0; places.length < count && tries < 10 * count; tries++) {
      const commit = this.pick(commits);
      const paths = git("show", "--format=", "--name-only", "--diff-filter=M", commit)
        .split("\n")
        .filter(
          (path) =>
            isSourcePath(path) && /^(server|extension|native|kernels|training)\//.test(path),
        );
      const some = this.shuffled(paths).slice(0, 4);
      const [target, ...others] =
        some.length < 2 ? [] : some.flatMap((path) => this.editedIn(commit, path));
      if (target !== undefined && others.length > 0)
        places.push({ workspace: root, target, others });
    }
    return places;
  }

  /** Lines of the packages in `folders`, with files of the same package. */
  ofPackages(folders: readonly string[], count: number): Place[] {
    const files = folders.map((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .map((path) => join(folder, path))
        .filter((path) => isSourcePath(path) && !/\.d\.ts$|\.(test|spec)\.|_test/.test(path))
        .flatMap((path) => {
          const after = readFileSync(path, "utf8");
          const lines = writtenLines("", after).slice(8);
          if (lines.length < 20 || after.length > MAX_FILE) return [];
          const line = this.pick(lines);
          const kept = after.split("\n");
          kept.splice(line, 2);
          return [{ path, before: kept.join("\n"), after, line }];
        }),
    );
    return Array.from({ length: count }, (_, i) => {
      const at = i % folders.length;
      const [target, ...others] = this.shuffled(files[at]!).slice(0, 4);
      return { workspace: folders[at]!, target: target!, others };
    });
  }

  private editedIn(commit: string, path: string): Edited[] {
    const [before, after] = [git("show", `${commit}^:${path}`), git("show", `${commit}:${path}`)];
    const lines = writtenLines(before, after);
    if (lines.length === 0 || after.length > MAX_FILE) return [];
    return [{ path: join(root, path), before, after, line: this.pick(lines) }];
  }

  private pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!;
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, key: this.random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  }
}
