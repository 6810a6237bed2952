// The files that open documents import, found in the background.

import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createPathsMatcher, getTsconfig } from "get-tsconfig";
import type { OpenDocument } from "../document";
import type { Exclusion } from "./exclusion";
import { importsOf } from "./imports";
import { fileOf } from "./paths";
import { candidatesOf, foldersAbove, type Project } from "./resolve";
import type { SymbolIndex } from "./symbolindex";

const MAX_IMPORTS = 64; // of one file
const MAX_PACKAGE = 16; // files of a package that are looked at

export interface Imported {
  /** Absolute. */
  readonly path: string;
  /** What is taken from there; empty: no names, or all. */
  readonly names: readonly string[];
}

export class ImportedFiles {
  private readonly open = new Set<string>(); // URIs
  private readonly byUri = new Map<string, readonly Imported[]>(); // of open documents
  private readonly projects = new Map<string, Promise<Project>>(); // by the file's folder

  constructor(
    private readonly exclusion: Exclusion,
    private readonly index: SymbolIndex,
  ) {}

  /** The workspace's files that the document imports, in its order; null: not known yet. */
  of(uri: string): readonly Imported[] | null {
    return this.byUri.get(uri) ?? null;
  }

  /** Finds them, and has them indexed. Never rejects. */
  async find({ uri, languageId, text }: OpenDocument): Promise<void> {
    this.open.add(uri);
    const path = fileOf(uri);
    const folder = path === null ? null : (this.exclusion.folderOf(path) ?? dirname(path));
    const found = new Map<string, Set<string>>();
    if (path !== null && folder !== null) {
      const project = await this.projectOf(path, folder);
      for (const { from, names } of importsOf(languageId, text).slice(0, MAX_IMPORTS)) {
        for (const file of await this.filesAt(candidatesOf(languageId, from, path, project))) {
          if (file === path) continue;
          const all = found.get(file) ?? new Set();
          for (const name of names) all.add(name);
          found.set(file, all);
        }
      }
    }
    if (!this.open.has(uri)) return; // closed meanwhile
    this.byUri.set(
      uri,
      Array.from(found, ([file, names]) => ({ path: file, names: [...names] })),
    );
    this.index.want([...found.keys()].filter((file) => !this.index.has(file)));
  }

  closed(uri: string): void {
    this.open.delete(uri);
    this.byUri.delete(uri);
  }

  /** Projects' files have changed, or may have. */
  forgetProjects(): void {
    this.projects.clear();
  }

  /** The first that is there; of a folder, the files in it. */
  private async filesAt(candidates: readonly string[]): Promise<readonly string[]> {
    for (const path of candidates) {
      if (this.index.has(path)) return [path];
      const found = await stat(path).catch(() => null);
      if (found?.isFile()) return [path];
      if (found?.isDirectory()) {
        const files = this.index.filesIn(path);
        if (files.length > 0) return files.slice(0, MAX_PACKAGE);
      }
    }
    return [];
  }

  private projectOf(path: string, folder: string): Promise<Project> {
    const key = dirname(path);
    let project = this.projects.get(key);
    if (project === undefined) {
      project = readProject(path, folder);
      this.projects.set(key, project);
    }
    return project;
  }
}

async function readProject(path: string, folder: string): Promise<Project> {
  const above = foldersAbove(path, folder);
  const go = await nearest(above, "go.mod");
  const name = go === null ? undefined : /^module\s+"?([^\s"]+)/m.exec(go.text)?.[1];
  return {
    folder,
    goModule: go === null || name === undefined ? null : { folder: go.folder, name },
    aliases: aliasesOf(path),
  };
}

async function nearest(folders: readonly string[], name: string) {
  for (const folder of folders) {
    const text = await readFile(join(folder, name), "utf8").catch(() => null);
    if (text !== null) return { folder, text };
  }
  return null;
}

/** What tsconfig.json or jsconfig.json says of names that are no paths, with all that it extends. */
function aliasesOf(path: string): Project["aliases"] {
  try {
    const config = getTsconfig(path) ?? getTsconfig(path, "jsconfig.json");
    return config === null ? null : createPathsMatcher(config);
  } catch {
    return null; // the compiler will say what is wrong with it
  }
}
