// What the workspace defines, by name. Built in the background from files, kept up by what is edited,
// bounded in files and memory.

import { readFile, stat } from "node:fs/promises";
import { basename, dirname, sep } from "node:path";
import type { OpenDocument } from "../document";
import { isAbort } from "../errors";
import type { Background } from "./background";
import type { Exclusion } from "./exclusion";
import { foldersOver, inside, keyOf } from "./paths";
import { isReadable, isSkippedFolder, isSourcePath, languageIdOf, MAX_FILE_BYTES } from "./source";
import { type Definition, definitionsIn } from "./symbols";
import { Walk } from "./walk";

const MAX_FILES = 20_000;
const MAX_BYTES = 96e6; // of memory, as estimated below: 5-11 KB a file
const DEFINITION_BYTES = 240; // beside its texts; measured, see test/bench/results/context.md
const FILE_BYTES = 400;
const MAX_SAME = 16; // definitions of one name that are found
const MAX_DEFINITIONS = 2000; // of one file; what has more is generated

export interface Located extends Definition {
  readonly path: string;
}

interface Entry {
  readonly definitions: readonly Located[];
  readonly bytes: number;
}

export interface IndexStatistics {
  readonly files: number;
  readonly definitions: number;
  /** Estimated. */
  readonly bytes: number;
}

/** Nothing here throws, and nothing is done on the caller's time: files that can't be read are not in it. */
export class SymbolIndex {
  private readonly entries = new Map<string, Entry>(); // by path, or by URI where that is no file
  private readonly filesUnder = new Map<string, number>(); // how many entries, by each folder above them
  private readonly byName = new Map<string, readonly Located[]>();
  private readonly open = new Map<string, OpenDocument>(); // by path or URI
  private readonly wanted = new Set<string>(); // files to read before all others
  private found: string[] = []; // files of the walk
  private readonly walk: Walk;
  private bytes = 0;
  private generation = 0; // what was begun for other folders or rules does not count
  private closed = false;
  private running: Promise<void> | null = null;

  constructor(
    private readonly exclusion: Exclusion,
    private readonly background: Background,
  ) {
    this.walk = new Walk(exclusion, background);
  }

  /** Indexes the workspace `folders`, absolute paths, from the start. */
  useFolders(folders: readonly string[]): void {
    this.generation++;
    this.entries.clear();
    this.filesUnder.clear();
    this.byName.clear();
    this.bytes = 0;
    this.walk.clear();
    this.found = [];
    for (const folder of folders) this.walk.add(folder);
    for (const key of this.open.keys()) this.wanted.add(key);
    this.work();
  }

  /** The document is open, and has come to rest after an edit. */
  changed(document: OpenDocument): void {
    const key = keyOf(document.uri);
    this.open.set(key, document);
    this.want([key]);
  }

  /** The document was closed: its file counts from now on. */
  closedDocument(uri: string): void {
    const key = keyOf(uri);
    if (this.open.delete(key)) this.want([key]);
  }

  /** Files or folders that have appeared, changed or gone. Those that a walk would pass by are new to nobody. */
  filesChanged(paths: readonly string[]): void {
    const isKnown = (path: string) => this.has(path) || this.filesUnder.has(path);
    this.want(paths.filter((path) => isKnown(path) || !this.isPassedBy(path)));
  }

  /** The user is at `path`, whose surroundings are indexed first. */
  near(path: string): void {
    this.walk.near(path);
  }

  /** Indexes `paths` before all others. */
  want(paths: Iterable<string>): void {
    for (const path of paths) this.wanted.add(path);
    this.work();
  }

  has(path: string): boolean {
    return this.entries.has(path);
  }

  /** The definitions of `name`, MAX_SAME at most, in no order. */
  find(name: string): readonly Located[] {
    return this.byName.get(name) ?? [];
  }

  /** The definitions of a file, in its order; none where it is not indexed. */
  definitionsOf(path: string): readonly Located[] {
    return this.entries.get(path)?.definitions ?? [];
  }

  get statistics(): IndexStatistics {
    let definitions = 0;
    for (const entry of this.entries.values()) definitions += entry.definitions.length;
    return { files: this.entries.size, definitions, bytes: this.bytes };
  }

  /** Of the indexed files those in `folder` itself. */
  filesIn(folder: string): string[] {
    return [...this.entries.keys()].filter((path) => dirname(path) === folder);
  }

  /** Resolves once all that is known of is indexed. */
  async idle(): Promise<void> {
    while (this.running !== null) await this.running;
  }

  close(): void {
    this.closed = true;
  }

  private work(): void {
    if (this.running !== null || this.closed) return;
    this.running = this.run().finally(() => {
      this.running = null;
    });
  }

  private async run(): Promise<void> {
    try {
      await this.background.rest();
      while (!this.closed) {
        const [path] = this.wanted;
        if (path !== undefined) {
          this.wanted.delete(path);
          await this.index(path);
        } else if (this.isFull) return;
        else if (this.found.length > 0) await this.index(this.found.pop()!);
        else if (!this.walk.done) await this.findMore();
        else return;
      }
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
  }

  private async findMore(): Promise<void> {
    const { generation } = this;
    const found = await this.walk.next();
    if (generation === this.generation) this.found = found;
  }

  private get isFull(): boolean {
    return this.entries.size >= MAX_FILES || this.bytes >= MAX_BYTES;
  }

  /** Reads the file or open document anew. */
  private async index(key: string): Promise<void> {
    const { generation } = this;
    const document = this.open.get(key);
    if (document === undefined && this.isFull && !this.has(key)) return;
    const text = document?.text ?? (await this.read(key));
    const isLarge = text !== null && text.length > MAX_FILE_BYTES; // an open document may be
    if (text === null || isLarge || !this.shows(document?.uri ?? null, key) || !isReadable(text)) {
      return this.forget(key);
    }
    const languageId = document?.languageId ?? languageIdOf(key, text);
    const tree = await this.background.parse(languageId, text);
    if (tree === null) return this.forget(key);
    const definitions: Located[] = [];
    for (const { name, kind, container, signature, line } of definitionsIn(
      tree,
      languageId,
      text,
    )) {
      definitions.push({ name, kind, container, signature, line, path: key });
      if (definitions.length >= MAX_DEFINITIONS) break;
      if (this.background.due) await this.background.rest();
    }
    if (generation !== this.generation) return;
    this.forget(key);
    this.remember(key, definitions);
  }

  /** Whether the file or folder lies in a folder of its workspace that holds what was installed or built. */
  private isPassedBy(path: string): boolean {
    const folder = this.exclusion.folderOf(path);
    const from = folder === null ? null : inside(folder, path);
    return from?.split("/").slice(0, -1).some(isSkippedFolder) ?? false;
  }

  private shows(uri: string | null, key: string): boolean {
    const because = uri === null ? this.exclusion.becauseFile(key) : this.exclusion.because(uri);
    return because === null;
  }

  /** The text of a source file; null if it can't or needn't be read. A folder is walked, one that is gone forgotten. */
  private async read(path: string): Promise<string | null> {
    try {
      const found = await stat(path);
      if (found.isDirectory() && this.isWalked(path)) this.walk.add(path);
      const isSource = found.isFile() && isSourcePath(path) && found.size <= MAX_FILE_BYTES;
      return isSource ? await readFile(path, "utf8") : null;
    } catch {
      if (this.filesUnder.has(path)) {
        for (const inside of [...this.entries.keys()]) {
          if (inside.startsWith(path + sep)) this.forget(inside);
        }
      }
      return null;
    }
  }

  private isWalked(folder: string): boolean {
    return !isSkippedFolder(basename(folder)) && this.exclusion.becausePath(folder, true) === null;
  }

  private remember(path: string, definitions: readonly Located[]): void {
    let bytes = FILE_BYTES + 2 * path.length;
    for (const definition of definitions) {
      const { name, signature } = definition;
      bytes += DEFINITION_BYTES + name.length + signature.length;
      const same = this.find(name);
      // Not push, which would make room for 16 more in each of many thousand lists.
      if (same.length < MAX_SAME) this.byName.set(name, [...same, definition]);
    }
    this.entries.set(path, { definitions, bytes });
    this.bytes += bytes;
    this.count(path, 1);
  }

  /** `more` entries are in the folders above `path`. */
  private count(path: string, more: number): void {
    for (const folder of foldersOver(path)) {
      const files = (this.filesUnder.get(folder) ?? 0) + more;
      if (files > 0) this.filesUnder.set(folder, files);
      else this.filesUnder.delete(folder);
    }
  }

  private forget(path: string): void {
    const entry = this.entries.get(path);
    if (entry === undefined) return;
    for (const name of new Set(entry.definitions.map((definition) => definition.name))) {
      const rest = this.find(name).filter((definition) => definition.path !== path);
      if (rest.length === 0) this.byName.delete(name);
      else this.byName.set(name, rest);
    }
    this.entries.delete(path);
    this.bytes -= entry.bytes;
    this.count(path, -1);
  }
}

/** Whether a change of the file at `path` changes what git ignores. */
export function changesGitIgnores(path: string): boolean {
  const name = basename(path);
  return name === ".gitignore" || (name === "exclude" && path.includes(`${sep}info${sep}`));
}
