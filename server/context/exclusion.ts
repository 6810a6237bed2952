// Which files no model is shown, and why.

import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import ignore, { type Ignore } from "ignore";
import { GitIgnores } from "./gitignore";
import { fileBehind, fileOf, inside, pathOf } from "./paths";
import { secretPattern } from "./secrets";

const KEPT = 2000; // answers, by URI
const LOOK_MS = 3000; // between two looks at files of git that the editor does not watch: about ten, 2 µs each

/**
 * Three reasons, in this order: the file usually holds secrets, the user's setting excludes it, git
 * ignores it. They hold for the file that is edited and for what is shown beside it alike.
 */
export class Exclusion {
  private folders: readonly string[] = []; // and what they are links to
  private readonly links = new Map<string, string>(); // folders, by what they are links to
  private patterns = "";
  private rules: Ignore = ignore();
  private readonly folderRules = new Map<string, Ignore>(); // by folder
  private readonly git = new GitIgnores();
  private readonly known = new Map<string, string | null>(); // by URI: asked with each key
  private looked = Number.NEGATIVE_INFINITY; // when, as refresh's now

  /** Absolute paths of the workspace folders. */
  useFolders(paths: readonly string[]): void {
    this.links.clear();
    for (const path of paths) this.links.set(behindLinks(path) ?? path, path);
    this.folders = [...new Set([...paths, ...this.links.keys()])];
    this.git.watchedIn(paths);
    this.known.clear();
  }

  /**
   * The setting excludedFiles: patterns as in .gitignore, relative to each workspace folder; and what
   * folders have for themselves beside it, by their paths. False if they are what they were.
   */
  useRules(
    excludedFiles: readonly string[],
    inFolders: ReadonlyMap<string, readonly string[]> = new Map(),
  ): boolean {
    const patterns = JSON.stringify([excludedFiles, ...inFolders]);
    if (patterns === this.patterns) return false;
    this.patterns = patterns;
    this.rules = ignore().add(excludedFiles);
    this.folderRules.clear();
    for (const [folder, own] of inFolders) this.folderRules.set(folder, ignore().add(own));
    this.known.clear();
    return true;
  }

  /**
   * Reads anew what git ignores, if that has changed in files that the editor does not watch: those above
   * the workspace folders, info/exclude and the user's own. Looks every few seconds at most, `now` in
   * milliseconds. Whether it had changed.
   */
  refresh(now: number): boolean {
    if (now - this.looked < LOOK_MS) return false;
    this.looked = now;
    const { haveChanged } = this.git;
    if (haveChanged) this.forgetGitIgnores();
    return haveChanged;
  }

  /** Files that say what git ignores have changed. */
  forgetGitIgnores(): void {
    this.git.forget();
    this.known.clear();
  }

  /** Why the document at `uri` is not shown to a model; null: it is. Never throws. */
  because(uri: string): string | null {
    let because = this.known.get(uri);
    if (because === undefined) {
      because = this.becauseUri(uri);
      if (this.known.size >= KEPT) this.known.clear();
      this.known.set(uri, because);
    }
    return because;
  }

  private becauseUri(uri: string): string | null {
    const path = fileOf(uri);
    if (path !== null) return this.becauseFile(path);
    const behind = fileBehind(uri); // of a notebook's cell, or a file that is not yet saved
    const because = behind === null ? null : this.becauseFile(behind);
    return because ?? this.byName(pathOf(uri), null);
  }

  /** The same of a file of this machine. Through whichever link it is reached, it is the same file. */
  becauseFile(path: string): string | null {
    const because = this.becausePath(path);
    const real = because === null ? behindLinks(path) : null;
    return real === null || real === path ? because : this.becausePath(real);
  }

  /** The same, and no link is followed; of a folder: whether everything in it is excluded. */
  becausePath(path: string, isFolder = false): string | null {
    const folder = this.folderOf(path);
    const byName = this.byName(pathOf(path), folder, isFolder);
    return byName ?? this.git.because(folder ?? dirname(path), path, isFolder);
  }

  /** The innermost workspace folder that holds `path`. */
  folderOf(path: string): string | null {
    const holding = this.folders.filter((folder) => inside(folder, path) !== null);
    return holding.reduce<string | null>(
      (best, folder) => (best === null || folder.length > best.length ? folder : best),
      null,
    );
  }

  private byName(path: string, folder: string | null, isFolder = false): string | null {
    const end = isFolder ? "/" : "";
    const secret = secretPattern(path + end);
    if (secret !== null) return `usually holds secrets (${secret})`;
    const start = folder === null ? "" : `${pathOf(folder)}/`;
    const from = path.startsWith(start) ? path.slice(start.length) : path;
    if (!ignore.isPathValid(from)) return null;
    const own =
      folder === null ? undefined : this.folderRules.get(this.links.get(folder) ?? folder);
    for (const rules of own === undefined ? [this.rules] : [this.rules, own]) {
      const { ignored, rule } = rules.test(from + end);
      if (ignored) return `excluded by the setting "excludedFiles" (${rule?.pattern})`;
    }
    return null;
  }
}

/** The path without any link in it; null: nothing is there. */
function behindLinks(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch {
    return null;
  }
}
