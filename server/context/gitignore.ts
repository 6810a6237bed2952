// What git ignores: a repository's .gitignore files, nested ones too, its info/exclude, and the user's own
// core.excludesFile. A repository in it, as a submodule is, has its own alone.

import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import ignore, { type Ignore } from "ignore";
import { type IgnoreSettings, ignoreSettingsOf } from "./gitconfig";
import { inside } from "./paths";
import { Readings, textOf } from "./readings";

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
  private watched: readonly string[] = [];
  private readonly readings = new Readings(); // of files that nobody watches
  private readonly rules = new Map<string, readonly Rules[]>(); // by the folder that they are of
  private readonly settings = new Map<string, IgnoreSettings>(); // by repository
  private readonly repositories = new Map<string, string | null>(); // by a folder in them
  private readonly folders = new Map<string, string | null>(); // decisions, by folder

  /**
   * Why git ignores the file at `path` in `within`, a workspace folder or its own folder, or null. As
   * git does: the deepest file that says anything decides, nothing inside an ignored folder comes
   * back, and a repository inside another ends its rules.
   */
  because(within: string, path: string, isFolder = false): string | null {
    const root = this.repositoryOf(within) ?? within;
    const from = inside(root, path);
    if (from === null) return null;
    const parts = from.split("/");
    const last = parts.pop()!;
    let folder = root;
    for (const part of parts) {
      folder = join(folder, part);
      const because = this.folderBecause(root, folder);
      if (because !== null) return because;
    }
    const spelled = join(folder, last); // as the root is: on Windows `path` may have other capitals
    return isFolder ? this.folderBecause(root, spelled) : this.decide(root, spelled, false);
  }

  /** Folders in which the editor watches .gitignore files. */
  watchedIn(folders: readonly string[]): void {
    this.watched = folders;
    this.forget();
  }

  /** Whether files that the editor does not watch say something else than when they were read. */
  get haveChanged(): boolean {
    return this.readings.haveChanged;
  }

  /** The files have changed, or may have. */
  forget(): void {
    this.readings.clear();
    this.rules.clear();
    this.settings.clear();
    this.repositories.clear();
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

  /** The deepest first; info/exclude, then core.excludesFile, behind the .gitignore of their repository's folder. */
  private *rulesAbove(root: string, folder: string): Iterable<Rules> {
    const top = this.repositoryOf(folder) ?? root; // where no repository is, `root` is none either
    for (let at = folder; ; at = dirname(at)) {
      yield* this.rulesOf(at);
      if (at === top || at === dirname(at)) break;
    }
  }

  private rulesOf(folder: string): readonly Rules[] {
    let rules = this.rules.get(folder);
    if (rules === undefined) {
      const repository = this.repositoryOf(folder);
      const settings = repository === null ? null : this.settingsOf(repository);
      const files = [join(folder, ".gitignore")];
      if (repository === folder) {
        const { excludesFile } = settings!;
        files.push(join(gitFolder(folder), "info", "exclude"));
        if (excludesFile !== null) files.push(excludesFile);
      }
      const ignoresCase = settings?.ignoresCase ?? process.platform !== "linux";
      rules = files.flatMap((file) => {
        const text = this.read(file);
        if (text === null) return [];
        return { ignore: ignore({ ignorecase: ignoresCase }).add(text), folder, file };
      });
      this.rules.set(folder, rules);
    }
    return rules;
  }

  private read(path: string): string | null {
    const folder = dirname(path);
    const isWatched =
      basename(path) === ".gitignore" &&
      this.watched.some((root) => root === folder || inside(root, folder) !== null);
    return isWatched ? textOf(path) : this.readings.read(path);
  }

  private settingsOf(repository: string): IgnoreSettings {
    let settings = this.settings.get(repository);
    if (settings === undefined) {
      const config = join(gitFolder(repository), "config");
      settings = ignoreSettingsOf(config, repository, this.readings);
      this.settings.set(repository, settings);
    }
    return settings;
  }

  /** The folder of the innermost repository that `folder` is in, or null. */
  private repositoryOf(folder: string): string | null {
    let repository = this.repositories.get(folder);
    if (repository === undefined) {
      const above = dirname(folder);
      if (existsSync(join(folder, ".git"))) repository = folder;
      else repository = above === folder ? null : this.repositoryOf(above);
      this.repositories.set(folder, repository);
    }
    return repository;
  }
}

/** `path` as a pattern that means it alone. */
function literal(path: string): string {
  return path.replace(/[\\*?[\]! #]/g, "\\$&");
}

/** The folder that has info/: a submodule's or a worktree's .git is a file that says where. */
function gitFolder(repository: string): string {
  const path = join(repository, ".git");
  const [, elsewhere] = /^gitdir: (.+)/.exec(textOf(path) ?? "") ?? [];
  if (elsewhere === undefined) return path;
  const folder = resolve(repository, elsewhere);
  return resolve(folder, textOf(join(folder, "commondir"))?.trim() ?? ""); // a worktree shares its repository's
}
