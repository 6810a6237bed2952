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

const LIMIT_MS = 500; // in all; what has come by then is the answer
const MAX_DEFINITIONS = 5;
const MAX_NAMES = 12; // that are asked about
const LINES_BEFORE = 8; // of the cursor
const ENCLOSING = 2; // lines that the cursor's block stands in
const MAX_LINES = 12; // of a declaration
const SCHEMES = new Set(["file", "vscode-remote", "vscode-vfs"]);

/** Answers the server's requests. */
export function answerDefinitions(client: LanguageClient): void {
  client.onRequest(definitionsMethod, definitionsNear);
}

/** The definitions found within LIMIT_MS. Never rejects. */
async function definitionsNear(
  { uri, line, character }: DefinitionsParams,
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
  const asked = placesOfNames(document, line, character).map(async (place, index) => {
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

interface Place {
  readonly line: number;
  readonly character: number;
}

/** Where names stand: those before the cursor from the nearest on, then those of the enclosing lines. */
function placesOfNames(document: TextDocument, line: number, character: number): Place[] {
  const last = Math.min(line, document.lineCount - 1);
  const first = Math.max(0, last - LINES_BEFORE);
  const near = Array.from({ length: last - first + 1 }, (_, i) => last - i);
  const byName = new Map<string, Place>();
  for (const at of [...near, ...enclosingLines(document, first)]) {
    const text = document.lineAt(at).text.slice(0, at === line ? character : undefined);
    for (const match of [...text.matchAll(/[\p{L}_$][\p{L}\p{N}_$]{2,}/gu)].reverse()) {
      if (!byName.has(match[0])) byName.set(match[0], { line: at, character: match.index });
    }
  }
  return [...byName.values()].slice(0, MAX_NAMES);
}

/** Going up from `line`, the lines that are indented less than what they enclose. */
function enclosingLines(document: TextDocument, line: number): number[] {
  const found: number[] = [];
  let least = document.lineAt(line).firstNonWhitespaceCharacterIndex;
  for (let at = line - 1; at >= 0 && found.length < ENCLOSING && least > 0; at--) {
    const { isEmptyOrWhitespace, firstNonWhitespaceCharacterIndex } = document.lineAt(at);
    if (isEmptyOrWhitespace || firstNonWhitespaceCharacterIndex >= least) continue;
    least = firstNonWhitespaceCharacterIndex;
    found.push(at);
  }
  return found;
}

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
    if (!SCHEMES.has(uri.scheme) || uri.toString() === document.uri.toString()) return [];
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
