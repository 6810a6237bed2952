// The language server: the only file that knows LSP. Over node-ipc for VS Code, --stdio for others.

import { join } from "node:path";
import {
  type ClientCapabilities,
  createConnection,
  DidChangeWatchedFilesNotification,
  type InlineCompletionItem,
  type InlineCompletionParams,
  InlineCompletionTriggerKind,
  ProposedFeatures,
  TextDocumentSyncKind,
  TextDocuments,
} from "vscode-languageserver/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { complete } from "./completion";
import { fileOf } from "./context/paths";
import { watchedFiles } from "./context/source";
import type { OpenDocument } from "./document";
import { coded, isAbort } from "./errors";
import { downloadable } from "./models/list";
import { pullModel } from "./models/requests";
import { modelsDirectoryIn } from "./models/source";
import {
  type DefinitionNear,
  type DefinitionsParams,
  definitionsMethod,
  type InitializationOptions,
  modelsMethod,
  type PullParams,
  pullMethod,
  pullProgressMethod,
  type Settings,
  statusMethod,
} from "./protocol";
import { Session } from "./session";
import { defaultSettings, readSettings } from "./settings";

const connection = createConnection(ProposedFeatures.all);
const documents = new TextDocuments(TextDocument);
const bundledModel = join(__dirname, "..", "models", "ringside-small");
const session = new Session(bundledModel, {
  status: (status) => void connection.sendNotification(statusMethod, status),
  log: (message) => connection.console.info(message),
});

let capabilities: ClientCapabilities = {};
let settings: Settings = defaultSettings;
let folders: string[] = []; // of the workspace, on this machine
let recent: string[] = []; // URIs of open documents, the last edited or asked about first
let current: AbortController | null = null; // of the completion under way

connection.onInitialize((params) => {
  capabilities = params.capabilities;
  const options = params.initializationOptions as InitializationOptions | undefined;
  useSettings(options?.settings);
  const roots = params.workspaceFolders ?? [{ uri: params.rootUri ?? "" }];
  folders = roots.flatMap(({ uri }) => fileOf(uri) ?? []);
  if (options?.definitions === true) session.context.useDefinitions({ definitionsNear });
  return {
    capabilities: {
      workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      textDocumentSync: TextDocumentSyncKind.Incremental,
      inlineCompletionProvider: true,
    },
    serverInfo: { name: "ringside" },
  };
});

connection.onInitialized(() => {
  void pullSettings().then(() => session.load(settings));
  session.context.useFolders(folders);
  if (capabilities.workspace?.workspaceFolders === true) {
    connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
      const gone = removed.map(({ uri }) => fileOf(uri));
      const come = added.flatMap(({ uri }) => fileOf(uri) ?? []);
      folders = [...folders.filter((folder) => !gone.includes(folder)), ...come];
      session.context.useFolders(folders);
    });
  }
  if (capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true) {
    const watchers = watchedFiles.map((globPattern) => ({ globPattern }));
    void connection.client.register(DidChangeWatchedFilesNotification.type, { watchers });
  }
});

connection.onDidChangeWatchedFiles(({ changes }) =>
  session.context.filesChanged(changes.flatMap(({ uri }) => fileOf(uri) ?? [])),
);

connection.onDidChangeConfiguration(async (change) => {
  const pushed = (change.settings as { ringside?: unknown } | null)?.ringside;
  if (pushed !== undefined && pushed !== null) useSettings(pushed);
  else await pullSettings();
  await session.load(settings);
});

async function pullSettings(): Promise<void> {
  if (capabilities.workspace?.configuration !== true) return;
  try {
    useSettings(await connection.workspace.getConfiguration("ringside"));
  } catch (error) {
    connection.console.warn(`The settings could not be read: ${coded(error).message}`);
  }
}

function useSettings(value: unknown): void {
  settings = readSettings(value, (problem) => connection.console.warn(problem));
  session.context.useRules(settings.excludedFiles);
}

documents.onDidChangeContent(({ document }) => {
  seen(document.uri);
  session.context.changed(asOpen(document));
});
documents.onDidClose(({ document }) => {
  recent = recent.filter((uri) => uri !== document.uri);
  session.trees.forget(document.uri);
  session.context.closed(document.uri);
});

function seen(uri: string): void {
  recent = [uri, ...recent.filter((other) => other !== uri)];
}

connection.languages.inlineCompletion.on(async (params, token) => {
  // A newer request ends the older one, down to the kernel: one user, one cursor.
  current?.abort();
  const controller = new AbortController();
  current = controller;
  const listener = token.onCancellationRequested(() => controller.abort());
  const { engine } = session;
  const resume = session.context.pause();
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
  if (document === undefined || session.engine === null) return [];
  seen(document.uri);
  const offset = document.offsetAt(position);
  const others = recent.slice(1).flatMap((uri) => documents.get(uri) ?? []);
  const invoked = context?.triggerKind === InlineCompletionTriggerKind.Invoked;
  const services = { ...session, settings, engine: session.engine };
  const request = { document: asOpen(document), offset, others: others.map(asOpen), invoked };
  const completion = await complete(services, request, signal);
  session.succeeded(completion);
  if (completion.text === "") return [];
  return [{ insertText: completion.text, range: { start: position, end: position } }];
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

function definitionsNear({ uri }: OpenDocument, offset: number): Promise<DefinitionNear[]> {
  const { line, character } = documents.get(uri)?.positionAt(offset) ?? { line: 0, character: 0 };
  const params: DefinitionsParams = { uri, line, character };
  return connection.sendRequest<DefinitionNear[]>(definitionsMethod, params);
}

connection.onRequest(modelsMethod, () => downloadable(modelsDirectoryIn(settings.modelsDirectory)));

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

connection.onShutdown(() => {
  current?.abort();
  session.close();
  session.context.close();
});

documents.listen(connection);
connection.listen();
