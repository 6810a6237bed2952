// What git ignores: a repository's .gitignore files, nested ones too, and its info/exclude.

import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import ignore, { type Ignore } from "ignore";
import { inside } from "./paths";

const MAX_DECISIONS = 50_000; // folders whose decision is kept, about 100 bytes each

interface Rules {
  readonly ignore: Ignore;
  /** The folder that the patterns are relative to. */
  readonly folder: string;
  /** For people. */
  readonly file: string;
}

/** Reads each file once; forget() reads them anew. */
export class GitIgnores {
  private readonly rules = new Map<string, Rules | null>(); // by the file's path
  private readonly roots = new Map<string, string>(); // the repository's folder, by a folder in it
  private readonly folders = new Map<string, string | null>(); // decisions, by folder

  /**
   * Why git ignores the file at `path` in `within`, a workspace folder or its own folder, or null. As
   * git does: the deepest file that says anything decides, and nothing inside an ignored folder comes
   * back.
   */
  because(within: string, path: string, isFolder = false): string | null {
    const root = this.rootOf(within);
    const from = inside(root, path);
    if (from === null) return null;
    const parts = from.split("/");
    let folder = root;
    for (const part of parts.slice(0, -1)) {
      folder = join(folder, part);
      const because = this.folderBecause(root, folder);
      if (because !== null) return because;
    }
    return isFolder ? this.folderBecause(root, path) : this.decide(root, path, false);
  }

  /** The files have changed, or may have. */
  forget(): void {
    this.rules.clear();
    this.roots.clear();
    this.folders.clear();
  }

  private folderBecause(root: string, folder: string): string | null {
    let because = this.folders.get(folder);
    if (because === undefined) {
      because = this.decide(root, folder, true);
      if (this.folders.size >= MAX_DECISIONS) this.folders.clear();
      this.folders.set(folder, because);
    }
    return because;
  }

  private decide(root: string, path: string, isFolder: boolean): string | null {
    let comesBack = false;
    for (const rules of this.rulesAbove(root, dirname(path))) {
      const from = inside(rules.folder, path);
      if (from === null || !ignore.isPathValid(from)) continue;
      if (comesBack) {
        // What a deeper file brings back, these rules would ignore with all that is in it.
        rules.ignore.add(`!/${literal(from)}/`);
        continue;
      }
      const { ignored, unignored, rule } = rules.ignore.test(isFolder ? `${from}/` : from);
      if (ignored) return `ignored by git (${rule?.pattern} in ${rules.file})`;
      if (unignored && !isFolder) return null;
      comesBack = unignored;
    }
    return null;
  }

  /** The deepest first, info/exclude last. */
  private *rulesAbove(root: string, folder: string): Iterable<Rules> {
    for (let at = folder; ; at = dirname(at)) {
      const rules = this.read(join(at, ".gitignore"), at);
      if (rules !== null) yield rules;
      if (at === root || at === dirname(at)) break;
    }
    const exclude = this.read(join(gitFolder(root), "info", "exclude"), root);
    if (exclude !== null) yield exclude;
  }

  private read(path: string, folder: string): Rules | null {
    let rules = this.rules.get(path);
    if (rules === undefined) {
      rules = readRules(path, folder);
      this.rules.set(path, rules);
    }
    return rules;
  }

  /** The repository that a folder is in, or the folder itself. */
  private rootOf(folder: string): string {
    let root = this.roots.get(folder);
    if (root === undefined) {
      root = folder;
      let at = folder;
      while (!exists(join(at, ".git")) && at !== dirname(at)) at = dirname(at);
      if (exists(join(at, ".git"))) root = at;
      this.roots.set(folder, root);
    }
    return root;
  }
}

/** `path` as a pattern that means it alone. */
function literal(path: string): string {
  return path.replace(/[\\*?[\]! #]/g, "\\$&");
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function readRules(path: string, folder: string): Rules | null {
  try {
    return { ignore: ignore().add(readFileSync(path, "utf8")), folder, file: path };
  } catch {
    return null; // there is none, or it can't be read: git would go on without it, too
  }
}

/** The folder that has info/: a worktree's .git is a file that says where. */
function gitFolder(root: string): string {
  const path = join(root, ".git");
  try {
    if (statSync(path).isDirectory()) return path;
    const [, worktree] = /^gitdir: (.+)/.exec(readFileSync(path, "utf8")) ?? [];
    if (worktree === undefined) return path;
    const folder = resolve(root, worktree);
    return resolve(folder, readFileSync(join(folder, "commondir"), "utf8").trim());
  } catch {
    return path;
  }
}
