#!/usr/bin/env node
// The language server: the only file that knows LSP. Over node-ipc for VS Code, --stdio for others.

import { join } from "node:path";
import {
  type ClientCapabilities,
  createConnection,
  type InlineCompletionItem,
  type InlineCompletionParams,
  InlineCompletionTriggerKind,
  ProposedFeatures,
  TextDocumentSyncKind,
  TextDocuments,
} from "vscode-languageserver/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { complete } from "./completion";
import type { OpenDocument } from "./document";
import { coded, isAbort } from "./errors";
import { downloadable } from "./models/list";
import { pullModel } from "./models/requests";
import { modelsDirectoryIn } from "./models/source";
import {
  type EndpointKeyParams,
  endpointKeyChangedMethod,
  endpointKeyMethod,
  type InitializationOptions,
  modelsMethod,
  type PullParams,
  pullMethod,
  pullProgressMethod,
  type Settings,
  statusMethod,
} from "./protocol";
import { environmentKey, type KeyOf } from "./remote/key";
import { Session } from "./session";
import { defaultSettings, readSettings } from "./settings";

const connection = createConnection(ProposedFeatures.all);
const documents = new TextDocuments(TextDocument);
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
  },
  undefined,
  keyOf,
);

let capabilities: ClientCapabilities = {};
let storesKeys = false; // the editor does, and is asked for them
let settings: Settings = defaultSettings;
let recent: string[] = []; // URIs of open documents, the last edited or asked about first
let current: AbortController | null = null; // of the completion under way

connection.onInitialize((params) => {
  capabilities = params.capabilities;
  const options = params.initializationOptions as InitializationOptions | undefined;
  storesKeys = options?.storesKeys === true;
  useSettings(options?.settings);
  return {
    capabilities: {
      textDocumentSync: TextDocumentSyncKind.Incremental,
      inlineCompletionProvider: true,
    },
    serverInfo: { name: "ringside" },
  };
});

connection.onInitialized(() => {
  void pullSettings().then(() => session.load(settings));
});

connection.onDidChangeConfiguration(async (change) => {
  const pushed = (change.settings as { ringside?: unknown } | null)?.ringside;
  if (pushed !== undefined && pushed !== null) useSettings(pushed);
  else await pullSettings();
  await session.load(settings);
});

async function pullSettings(): Promise<void> {
  if (capabilities.workspace?.configuration !== true) return;
  try {
    const pulled: unknown = await connection.workspace.getConfiguration("ringside");
    if (pulled !== null) useSettings(pulled); // null: an editor that has none; what it began with holds
  } catch (error) {
    connection.console.warn(`The settings could not be read: ${coded(error).message}`);
  }
}

function useSettings(value: unknown): void {
  settings = readSettings(value, (problem) => connection.console.warn(problem));
}

documents.onDidChangeContent(({ document }) => seen(document.uri));
documents.onDidClose(({ document }) => {
  recent = recent.filter((uri) => uri !== document.uri);
  session.trees.forget(document.uri);
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
  try {
    return await inlineCompletion(params, controller.signal);
  } catch (error) {
    // A rejected request would raise a popup in VS Code; the status says what is wrong.
    if (!isAbort(error)) session.completionFailed(error, engine);
    return [];
  } finally {
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

connection.onNotification(endpointKeyChangedMethod, ({ origin }: EndpointKeyParams) =>
  session.keyChanged(origin),
);

connection.onShutdown(() => {
  current?.abort();
  session.close();
});

documents.listen(connection);
connection.listen();
