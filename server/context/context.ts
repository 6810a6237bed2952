// What else the model should see beside the file: of all that the user has open, has edited, has seen,
// imports and names, what is most likely to help, and always in the same place of the prompt.

import type { OpenDocument } from "../document";
import { breaksIn } from "../lines";
import type { Snippet } from "../prompt";
import { Background } from "./background";
import { wordsOf } from "./candidate";
import { Definitions, type DefinitionSource } from "./definitions";
import { RecentEdits } from "./edits";
import { Exclusion } from "./exclusion";
import { ImportedFiles } from "./imported";
import { importedOutlines, namedOutlines } from "./outline";
import { fileOf, foldersOver } from "./paths";
import { Pins } from "./pins";
import { fuse, type Ranked, type Ranking, sayingLines } from "./rank";
import { mayChangeProjects } from "./source";
import { changesGitIgnores, type IndexStatistics, SymbolIndex } from "./symbolindex";
import { Tabs } from "./tabs";
import { VisitedPlaces } from "./visited";

const SETTLE_MS = 1000; // after the last edit of a document, until it is indexed anew
const AROUND = 2000; // characters on each side of the cursor that say what is alike
const CHARACTERS = 4; // a token, about: how much of the file the prompt shows anyway

/** How much a source's ranks count; 0 turns it off. */
export type Weights = Readonly<Record<Snippet["source"], number>>;

// Chosen by how many of the identifiers that a user was about to write, and that the file did not have,
// the snippets had: test/bench/results/context.md. They had 17 % where equal weights had 14 %, and tabs
// alone 9 %. Imports made no difference there, and visited places hardly any, so both stand behind edits
// and tabs. Editors' definitions could not be measured, and count as imports do, which they are like.
export const defaultWeights: Weights = {
  edit: 3,
  tab: 2,
  import: 1,
  definition: 1,
  visited: 0.5,
  symbol: 0.5,
};

export interface GatherRequest {
  readonly document: OpenDocument;
  /** UTF-16 offset into the document's text. */
  readonly offset: number;
  /** The other open documents, the most recently seen first. */
  readonly others: readonly OpenDocument[];
  /** Whether the document has what is only proposed: nobody is there yet. Not given: no. */
  readonly isAhead?: boolean;
  /** Tokens of the whole prompt. */
  readonly promptTokens: number;
  /** Tokens of the prompt that snippets may take. */
  readonly budgetTokens: number;
  /** About how many tokens a line takes; see Encoder. */
  readonly count: (line: string) => number;
}

export interface ContextOptions {
  readonly weights?: Weights;
  /** Milliseconds, as Date.now. */
  readonly now?: () => number;
}

/** Everything slow happens in the background; gather only looks up. Nothing here throws. */
export class Context {
  private readonly exclusion = new Exclusion();
  private readonly background = new Background();
  private readonly index = new SymbolIndex(this.exclusion, this.background);
  private readonly imports = new ImportedFiles(this.exclusion, this.index);
  private readonly tabs = new Tabs();
  private readonly visited = new VisitedPlaces();
  private readonly edits: RecentEdits;
  private readonly definitions: Definitions;
  private readonly pins: Pins;
  private readonly weights: Weights;
  private readonly settling = new Map<string, NodeJS.Timeout>(); // by URI
  private folders: readonly string[] = [];
  private indexes = true;
  private off: ReadonlySet<string> = new Set(); // languages
  private finding = Promise.resolve(); // of imports
  private readonly now: () => number;

  constructor({ weights = defaultWeights, now = Date.now }: ContextOptions = {}) {
    this.edits = new RecentEdits(now);
    this.definitions = new Definitions(now);
    this.pins = new Pins(now);
    this.weights = weights;
    this.now = now;
  }

  /** The workspace's folders on this machine, absolute paths. They are indexed from the start, if `indexes`. */
  useFolders(paths: readonly string[], indexes = true): void {
    this.folders = paths;
    this.indexes = indexes;
    this.exclusion.useFolders(paths);
    this.imports.forgetProjects();
    this.indexAnew();
  }

  /** The setting excludedFiles, and that of folders by their paths. What is shown of files that are excluded now goes at once. */
  useRules(
    excludedFiles: readonly string[],
    inFolders?: ReadonlyMap<string, readonly string[]>,
  ): void {
    if (this.exclusion.useRules(excludedFiles, inFolders)) this.indexAnew();
  }

  /** The setting disabledLanguages: what is edited in them, such as notes or a commit's message, is no code to show. */
  useLanguages(disabled: readonly string[]): void {
    if (disabled.length === this.off.size && disabled.every((id) => this.off.has(id))) return;
    this.off = new Set(disabled);
    this.pins.drop(({ source }) => source === "edit");
  }

  /** Who knows definitions beside the index. */
  useDefinitions(source: DefinitionSource): void {
    this.definitions.use(source);
  }

  /** Why no model is shown the document at `uri`; null: it may be. */
  excludedBecause(uri: string): string | null {
    if (this.exclusion.refresh(this.now())) this.indexAnew();
    return this.exclusion.because(uri);
  }

  /** The document was opened or edited. */
  changed(document: OpenDocument): void {
    const { uri } = document;
    if (this.excludedBecause(uri) !== null) return;
    const wasOpen = this.settling.has(uri);
    this.edits.changed(document);
    clearTimeout(this.settling.get(uri));
    const settled = () => {
      this.index.changed(document);
      this.tabs.prepare(document);
      const before = this.finding;
      this.finding = this.imports.find(document).then(() => before); // holds none that is over
    };
    this.settling.set(uri, setTimeout(settled, wasOpen ? SETTLE_MS : 0).unref());
  }

  closed(uri: string): void {
    clearTimeout(this.settling.get(uri));
    this.settling.delete(uri);
    this.visited.closed(uri);
    this.edits.closed(uri);
    this.tabs.closed(uri);
    this.imports.closed(uri);
    this.index.closedDocument(uri);
  }

  /** Files and folders of the workspace that have appeared, changed or gone; and those that are `gone`. */
  filesChanged(paths: readonly string[], gone: readonly string[] = []): void {
    if (paths.some(changesGitIgnores)) {
      this.exclusion.forgetGitIgnores();
      this.indexAnew();
    }
    if (paths.some(mayChangeProjects)) this.imports.forgetProjects();
    this.index.filesChanged(paths);
    if (gone.length === 0) return;
    const all = new Set(gone);
    this.pins.drop(({ file }) => {
      const path = fileOf(file);
      return path !== null && [path, ...foldersOver(path)].some((each) => all.has(each));
    });
  }

  /** A completion runs: nothing else is done until the returned function is called. */
  pause(): () => void {
    return this.background.pause();
  }

  /**
   * What to show beside the document, in the prompt's order: what is least likely to change first.
   * Synchronous and quick. The same snippets as before while the user types.
   */
  gather(request: GatherRequest): readonly Snippet[] {
    const { document, offset, isAhead = false } = request;
    const line = breaksIn(document.text, 0, offset);
    if (!isAhead) {
      this.visited.visit(document, line);
      this.definitions.visit(document, offset, line);
    }
    const path = fileOf(document.uri);
    if (path !== null) this.index.near(path);
    const isReady = this.imports.of(document.uri) !== null && this.definitions.isReady;
    return this.pins.choose(
      {
        uri: document.uri,
        line,
        isReady,
        budget: { tokens: request.budgetTokens, count: request.count },
      },
      () => this.rank(request),
      () => new Set(sayingLines(shownText(request))),
    );
  }

  get statistics(): IndexStatistics {
    return this.index.statistics;
  }

  /** Resolves once nothing waits to be indexed. For tests and measurements. */
  async idle(): Promise<void> {
    await this.finding;
    await this.index.idle();
  }

  close(): void {
    for (const timer of this.settling.values()) clearTimeout(timer);
    this.settling.clear();
    this.definitions.close();
    this.index.close();
    this.background.close();
  }

  /** Other files than before are shown. */
  private indexAnew(): void {
    this.pins.clear();
    this.index.useFolders(this.indexes ? this.folders : []);
  }

  /** All candidates, the best first. */
  private rank({ document, offset, others }: GatherRequest): Ranked[] {
    const { uri, text } = document;
    const around = wordsOf(text.slice(Math.max(0, offset - AROUND), offset + AROUND));
    const found = {
      tab: () => this.tabs.candidates(document, around, others),
      edit: () => this.edits.candidates(uri, this.off),
      visited: () => this.visited.candidates(document),
      import: () => importedOutlines(this.imports.of(uri) ?? [], around, this.index),
      definition: () => this.definitions.candidates(uri),
      symbol: () => namedOutlines(document, offset, this.index),
    };
    const rankings = Object.entries(found).map(([source, candidates]): Ranking => {
      const weight = this.weights[source as Snippet["source"]];
      return { weight, candidates: weight === 0 ? [] : candidates() };
    });
    return fuse(rankings).filter(
      ({ candidate }) => this.exclusion.because(candidate.file) === null,
    );
  }
}

/** About the part of the document that the prompt shows. */
function shownText({ document, offset, promptTokens }: GatherRequest): string {
  const reach = promptTokens * CHARACTERS;
  return document.text.slice(Math.max(0, offset - reach), offset + reach / 4);
}
