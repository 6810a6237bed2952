#!/usr/bin/env node
// The language server: the only file that knows LSP. Over node-ipc for VS Code, --stdio for others.

import { join } from "node:path";
import {
  type ClientCapabilities,
  createConnection,
  DidChangeWatchedFilesNotification,
  FileChangeType,
  type FileEvent,
  type InlineCompletionItem,
  type InlineCompletionParams,
  InlineCompletionTriggerKind,
  type NotebookCell,
  type NotebookDocument,
  NotebookDocuments,
  ProposedFeatures,
  TextDocumentSyncKind,
  TextDocuments,
  WatchKind,
} from "vscode-languageserver/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { namesNear } from "./context/names";
import { fileOf, uriOf } from "./context/paths";
import { watchedFiles } from "./context/source";
import type { OpenDocument } from "./document";
import { coded, isAbort, RingsideError } from "./errors";
import { downloadable } from "./models/list";
import { deleteModel, pullModel } from "./models/requests";
import { modelsDirectoryIn } from "./models/source";
import { OpenDocuments } from "./opened";
import {
  type EndpointKeyParams,
  excludedMethod,
  endpointKeyChangedMethod,
  endpointKeyMethod,
  activityMethod,
  clearStatisticsMethod,
  type DefinitionNear,
  type DefinitionsParams,
  definitionsMethod,
  type InitializationOptions,
  modelsMethod,
  type PullParams,
  pullMethod,
  pullProgressMethod,
  type RefactorParams,
  type RefactorResult,
  refactorMethod,
  refactorProgressMethod,
  type RemoveParams,
  removeMethod,
  type Settings,
  statisticsMethod,
  statusMethod,
  type WhyParams,
  whyMethod,
} from "./protocol";
import { Refactors } from "./refactor/refactor";
import { environmentKey, type KeyOf } from "./remote/key";
import { Session } from "./session";
import { defaultSettings, readSettings } from "./settings";

const connection = createConnection(ProposedFeatures.all);
const documents = new TextDocuments(TextDocument);
const notebooks = new NotebookDocuments(documents);
const bundledModel = join(__dirname, "..", "models", "ringside-small");
const keyOf: KeyOf = async (origin) => {
  const stored = storesKeys
    ? await connection.sendRequest<string | null>(endpointKeyMethod, { origin })
    : null;
  return stored ?? environmentKey(origin);
};
const session = new Session(
  bundledModel,
  {
    status: (status) => void connection.sendNotification(statusMethod, status),
    log: (message) => connection.console.info(message),
    activity: (activity) => void connection.sendNotification(activityMethod, activity),
    textOf: (uri) => documents.get(uri)?.getText(),
  },
  undefined,
  keyOf,
);

const { completions } = session;
const opened = new OpenDocuments({
  document: (uri) => {
    const document = documents.get(uri);
    return document && asOpen(document);
  },
  notebook: (uri) => notebooks.getNotebookDocument(uri),
  notebookOf: (cell) => notebooks.findNotebookDocumentForCell(cell),
});
const refactors = new Refactors();

let capabilities: ClientCapabilities = {};
let modelEndsServer = false; // the one of the settings, as the editor has seen
let storesKeys = false; // the editor does, and is asked for them
let settings: Settings = defaultSettings;
let folders: string[] = []; // of the workspace, on this machine
let begun = false; // the settings are known
let wasOn = false; // completions, since the server began: until then nothing is indexed
let current: AbortController | null = null; // of the completion under way

connection.onInitialize((params) => {
  capabilities = params.capabilities;
  const options = (params.initializationOptions ?? {}) as InitializationOptions;
  storesKeys = options.storesKeys === true;
  modelEndsServer = options.modelEndsServer === true;
  useSettings(options.settings);
  if (typeof options.storage === "string") completions.keepStatisticsIn(options.storage);
  if (options.definitions === true) completions.context.useDefinitions({ definitionsNear });
  const roots = params.workspaceFolders ?? [{ uri: params.rootUri ?? "" }];
  folders = roots.flatMap(({ uri }) => fileOf(uri) ?? []);
  return {
    capabilities: {
      workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      textDocumentSync: TextDocumentSyncKind.Incremental,
      notebookDocumentSync: { notebookSelector: [{ notebook: "*" }] },
      inlineCompletionProvider: true,
    },
    serverInfo: { name: "ringside" },
  };
});

connection.onInitialized(() => {
  completions.context.useFolders(folders, false);
  void pullSettings().then(() => {
    begun = true;
    useFolders();
    if (modelEndsServer) session.avoid(settings.model);
    void session.load(settings);
  });
  if (capabilities.workspace?.workspaceFolders === true) {
    connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
      const gone = removed.map(({ uri }) => fileOf(uri));
      const come = added.flatMap(({ uri }) => fileOf(uri) ?? []);
      folders = [...folders.filter((folder) => !gone.includes(folder)), ...come];
      void pullSettings().then(() => useFolders()); // they have their own
    });
  }
  if (capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true) {
    // A folder that is moved or removed says nothing of what is in it, and no glob means folders alone.
    const moved = { globPattern: "**/*", kind: WatchKind.Create | WatchKind.Delete };
    const watchers = [...watchedFiles.map((globPattern) => ({ globPattern })), moved];
    void connection.client.register(DidChangeWatchedFilesNotification.type, { watchers });
  }
});

connection.onDidChangeWatchedFiles(({ changes }) => {
  const paths = (events: readonly FileEvent[]) => events.flatMap(({ uri }) => fileOf(uri) ?? []);
  const gone = changes.filter(({ type }) => type === FileChangeType.Deleted);
  completions.context.filesChanged(paths(changes), paths(gone));
});

connection.onDidChangeConfiguration(async (change) => {
  const pushed = (change.settings as { ringside?: unknown } | null)?.ringside;
  // An editor that answers says it better: VS Code's answer has the excluded files of all levels.
  const pulled = await pullSettings();
  if (!pulled && pushed !== undefined && pushed !== null) useSettings(pushed);
  await session.load(settings);
});

function useFolders(): void {
  wasOn ||= settings.enabled;
  completions.context.useFolders(folders, wasOn);
}

/** Whether the editor has said what its settings are. */
async function pullSettings(): Promise<boolean> {
  if (capabilities.workspace?.configuration !== true) return false;
  try {
    const asked = folders;
    const [pulled, ...own]: unknown[] = await connection.workspace.getConfiguration([
      { section: "ringside" },
      ...asked.map((folder) => ({ scopeUri: uriOf(folder), section: "ringside" })),
    ]);
    if (pulled === null) return false; // an editor that has none: what it began with holds
    useSettings(pulled, new Map(asked.map((folder, i) => [folder, own[i]])));
    return true;
  } catch (error) {
    connection.console.warn(`The settings could not be read: ${coded(error).message}`);
    return false;
  }
}

/** `inFolders`: what the folders of the workspace have, of which the excluded files are their own. */
function useSettings(value: unknown, inFolders: ReadonlyMap<string, unknown> = new Map()): void {
  const warn = (problem: string) => connection.console.warn(problem);
  settings = readSettings(value, warn);
  const excluded = Array.from(inFolders, ([folder, own]) => {
    return [folder, readSettings(own, warn).excludedFiles] as const;
  });
  completions.context.useRules(settings.excludedFiles, new Map(excluded));
  completions.context.useLanguages(settings.disabledLanguages);
  completions.forget(); // what was given up as unsure may be wanted by now
  if (begun && settings.enabled && !wasOn) useFolders();
}

documents.onDidChangeContent(({ document }) => {
  opened.seen(document.uri);
  const part = opened.partOf(asOpen(document));
  completions.edited(part.document, part.program);
});
documents.onDidClose(({ document }) => {
  opened.closed(document.uri);
  completions.closed(document.uri);
});

// Cells are opened before their notebook is known, and are documents of their own until then.
notebooks.onDidOpen((notebook) => joined(notebook, notebook.cells));
notebooks.onDidChange(({ notebookDocument, cells }) => {
  const { added = [], removed = [] } = cells ?? {};
  if (added.length + removed.length > 0) joined(notebookDocument, added);
});
notebooks.onDidClose(({ uri }) => {
  for (const program of opened.closedNotebook(uri)) completions.closed(program);
});

/** The notebook has other cells than before, the `added` ones among them. */
function joined(notebook: NotebookDocument, added: readonly NotebookCell[]): void {
  for (const { document } of added) completions.closed(document);
  for (const program of opened.programsOf(notebook)) completions.context.changed(program);
}

connection.languages.inlineCompletion.on(async (params, token) => {
  // A newer request ends the older one, down to the kernel: one user, one cursor.
  current?.abort();
  const controller = new AbortController();
  current = controller;
  const listener = token.onCancellationRequested(() => controller.abort());
  const { engine } = session;
  const resume = completions.context.pause();
  try {
    return await inlineCompletion(params, controller.signal);
  } catch (error) {
    // A rejected request would raise a popup in VS Code; the status says what is wrong.
    if (!isAbort(error)) session.completionFailed(error, engine);
    return [];
  } finally {
    resume();
    listener.dispose();
    if (current === controller) current = null;
  }
});

async function inlineCompletion(
  { textDocument, position, context }: InlineCompletionParams,
  signal: AbortSignal,
): Promise<InlineCompletionItem[]> {
  const document = documents.get(textDocument.uri);
  if (document === undefined || session.engine === null || refactors.busy) return [];
  const { uri } = document;
  opened.seen(uri);
  const { program, start: shift } = opened.partOf(asOpen(document));
  const offset = document.offsetAt(position);
  const list = context?.selectedCompletionInfo; // of suggestions, open with one of them selected
  const start = list === undefined ? offset : document.offsetAt(list.range.start);
  const invoked = context?.triggerKind === InlineCompletionTriggerKind.Invoked;
  const request = {
    document: { ...program }, // as it is now: keys may come while it waits
    offset: shift + offset,
    others: opened.othersThan(program.uri),
    invoked,
    alternatives: invoked, // a key asks for the next one too
    ...(list === undefined ? {} : { selected: { start: shift + start, text: list.text } }),
  };
  const proposals = await session.complete(request, { uri, offset: start }, settings, signal);
  const range = list?.range ?? { start: position, end: position };
  return proposals.map(({ text }) => ({ insertText: (list?.text ?? "") + text, range }));
}

function asOpen(document: TextDocument): OpenDocument {
  const { uri, languageId, version } = document;
  return {
    uri,
    languageId,
    version,
    get text() {
      return document.getText(); // joined on first use: a tab that is not looked at costs nothing
    },
  };
}

const MAX_ASKED = 12; // names whose definitions the editor is asked for at once

/** What the editor knows of a document that is as the editor has it; of a program, in the cell of `offset`. */
async function definitionsNear(
  { uri, text }: OpenDocument,
  offset: number,
): Promise<readonly DefinitionNear[]> {
  const part = opened.partAt(uri, offset);
  const document = part === null ? undefined : documents.get(part.document.uri);
  if (part === null || document === undefined || part.program.text !== text) return []; // not yet written
  const { start } = part;
  const end = start + part.document.text.length;
  const near = namesNear(text, offset).filter((name) => start <= name.offset && name.offset < end);
  const names = near.slice(0, MAX_ASKED).map((name) => document.positionAt(name.offset - start));
  const params: DefinitionsParams = { uri: document.uri, names };
  const found = await connection.sendRequest<DefinitionNear[]>(definitionsMethod, params);
  return found.map((definition) => {
    const other = documents.get(definition.uri);
    return other === undefined ? definition : { ...definition, uri: opened.nameOf(asOpen(other)) };
  });
}

connection.onRequest(statisticsMethod, () => completions.statistics.report());
connection.onRequest(clearStatisticsMethod, () => completions.statistics.clear());
connection.onRequest(whyMethod, ({ uri }: WhyParams) => session.why(uri));
connection.onRequest(excludedMethod, ({ uri }: WhyParams) =>
  completions.context.excludedBecause(uri),
);

connection.onRequest(modelsMethod, () =>
  downloadable(modelsDirectoryIn(settings.modelsDirectory), session.here(settings)),
);

connection.onRequest(pullMethod, async (params: PullParams, token) => {
  const controller = new AbortController();
  const listener = token.onCancellationRequested(() => controller.abort());
  try {
    const result = await pullModel(
      params,
      settings,
      (progress) => void connection.sendNotification(pullProgressMethod, progress),
      controller.signal,
    );
    // It may be what the settings have asked for all along, and could not be loaded before.
    if (result.kind === "here") void session.load(settings, true);
    return result;
  } finally {
    listener.dispose();
  }
});

connection.onRequest(removeMethod, (params: RemoveParams) => deleteModel(params, settings));

connection.onRequest(
  refactorMethod,
  async (params: RefactorParams, token): Promise<RefactorResult> => {
    current?.abort(); // it would queue behind what is being completed
    completions.lookAhead.cancel();
    const controller = new AbortController();
    const listener = token.onCancellationRequested(() => controller.abort());
    const document = documents.get(params.textDocument.uri);
    if (session.engine === null && !settings.enabled) {
      // An endpoint may never answer: who gives up does not wait for it.
      const givenUp = new Promise<void>((resolve) =>
        controller.signal.addEventListener("abort", () => resolve(), { once: true }),
      );
      await Promise.race([session.loadForCommand(settings), givenUp]);
      if (controller.signal.aborted) {
        listener.dispose();
        return { kind: "cancelled" };
      }
    }
    const { engine } = session;
    const running = refactors.run(
      params,
      document === undefined ? null : asOpen(document),
      {
        engine,
        settings,
        trees: completions.trees,
        excludedBecause: (uri) => completions.context.excludedBecause(uri),
      },
      (progress) => void connection.sendNotification(refactorProgressMethod, progress),
      controller.signal,
    );
    const result = await running.finally(() => listener.dispose());
    if (result.kind === "failed") {
      const { code, message } = result;
      connection.console.info(`Refactoring: ${code}: ${message}`);
      if (code === "DEVICE_LOST")
        session.completionFailed(new RingsideError(code, message), engine);
    }
    return result;
  },
);

connection.onNotification(endpointKeyChangedMethod, ({ origin }: EndpointKeyParams) =>
  session.keyChanged(origin),
);

connection.onShutdown(() => {
  current?.abort();
  refactors.close();
  session.close();
  completions.close();
});

documents.listen(connection);
notebooks.listen(connection);
connection.listen();
