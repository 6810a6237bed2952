// Definitions for the server, from the language servers that VS Code has: what the names near the
// cursor mean, wherever it is declared.

import {
  type CancellationToken,
  commands,
  type Location,
  type LocationLink,
  Position,
  type TextDocument,
  Uri,
  workspace,
} from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { type DefinitionNear, type DefinitionsParams, definitionsMethod } from "../server/protocol";
import { fileSchemes } from "./schemes";

const LIMIT_MS = 500; // in all; what has come by then is the answer
const MAX_DEFINITIONS = 5;
const MAX_LINES = 12; // of a declaration

/** Answers the server's requests. */
export function answerDefinitions(client: LanguageClient): void {
  client.onRequest(definitionsMethod, definitionsNear);
}

/** The definitions found within LIMIT_MS. Never rejects. */
async function definitionsNear(
  { uri, names }: DefinitionsParams,
  token: CancellationToken,
): Promise<DefinitionNear[]> {
  const document = workspace.textDocuments.find(
    (open) => open.uri.toString() === Uri.parse(uri).toString(),
  );
  if (document === undefined) return [];
  const found: DefinitionNear[][] = []; // by the name's index, since answers come in any order
  const end = Date.now() + LIMIT_MS;
  const files = new Map<string, Promise<string[]>>(); // several names may be of one file
  const linesIn = (file: Uri) => {
    const key = file.toString();
    const lines = files.get(key) ?? linesOf(file);
    files.set(key, lines);
    return lines;
  };
  const asked = names.map(async (place, index) => {
    const definition = await definitionAt(
      document,
      place,
      linesIn,
      () => token.isCancellationRequested || Date.now() > end,
    );
    found[index] = definition;
  });
  const limit = new Promise<void>((resolve) => setTimeout(resolve, LIMIT_MS));
  await Promise.race([Promise.all(asked), limit]);
  const unique = new Map(found.flat().map((one) => [`${one.uri}#${one.line}`, one]));
  return [...unique.values()].slice(0, MAX_DEFINITIONS);
}

type Place = DefinitionsParams["names"][number];

/** What the name at `place` means, if that is declared in another file. */
async function definitionAt(
  document: TextDocument,
  { line, character }: Place,
  linesIn: (file: Uri) => Promise<string[]>,
  isOver: () => boolean,
): Promise<DefinitionNear[]> {
  try {
    const locations = await commands.executeCommand<(Location | LocationLink)[]>(
      "vscode.executeDefinitionProvider",
      document.uri,
      new Position(line, character),
    );
    const [location] = locations ?? [];
    if (location === undefined || isOver()) return [];
    const [uri, range] =
      "targetUri" in location
        ? [location.targetUri, location.targetRange]
        : [location.uri, location.range];
    if (!fileSchemes.includes(uri.scheme) || uri.toString() === document.uri.toString()) return [];
    const lines = await linesIn(uri);
    return [
      {
        uri: uri.toString(),
        line: range.start.line,
        text: declarationAt(lines, range.start.line),
      },
    ];
  } catch {
    return []; // the provider failed, or the file can't be opened: other names may do better
  }
}

/** Read, not opened: the server would take what is opened for a tab of the user's. */
async function linesOf(uri: Uri): Promise<string[]> {
  const open = workspace.textDocuments.find(
    (document) => document.uri.toString() === uri.toString(),
  );
  const text = open?.getText() ?? new TextDecoder().decode(await workspace.fs.readFile(uri));
  return text.split(/\r\n?|\n/);
}

/** The line and those that are indented more than it, with the one that closes them. */
function declarationAt(lines: readonly string[], start: number): string {
  const indentOf = (line: string) => /^\s*/.exec(line)![0].length;
  const indent = indentOf(lines[start] ?? "");
  const shown = lines.slice(start, start + 1);
  for (const line of lines.slice(start + 1, start + MAX_LINES)) {
    const isInside = line.trim() === "" || indentOf(line) > indent;
    if (!isInside && !/^\s*[)\]}]/.test(line)) break;
    shown.push(line);
    if (!isInside && /^\s*}/.test(line)) break;
  }
  return `${shown.join("\n").trimEnd()}\n`;
}
