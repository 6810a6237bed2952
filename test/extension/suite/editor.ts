// The editor as a user has it: opens files, types, waits for ghost text, accepts it.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import type { Api } from "../../../extension/main";

const POLL_MS = 50;
const READY_MS = 30_000;
const folder = mkdtempSync(join(tmpdir(), "ringside-suite-"));
let files = 0;

export async function api(): Promise<Api> {
  const extension = vscode.extensions.getExtension<Api>("ringside.ringside");
  if (extension === undefined) throw new Error("The extension ringside.ringside is not there.");
  return extension.activate();
}

/** Waits until `look` gives something else than null or undefined. */
export async function until<T>(
  what: string,
  look: () => T | null | undefined | Promise<T | null | undefined>,
  ms = READY_MS,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined) return found;
    if (Date.now() > end) throw new Error(`Waited ${ms} ms for ${what}.`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

export async function ready(): Promise<void> {
  const ringside = await api();
  await until("the model to be ready", () => (ringside.status.kind === "ready" ? true : null));
}

/** Opens a new file with `source`, whose `|` is the cursor. */
export async function open(extension: string, source: string): Promise<vscode.TextEditor> {
  const at = source.indexOf("|");
  // A folder of its own, but the same name to the model: equal sources get equal completions.
  const parent = join(folder, String(files++), "src", "app");
  mkdirSync(parent, { recursive: true });
  const path = join(parent, `case.${extension}`);
  writeFileSync(path, source.slice(0, at) + source.slice(at + 1));
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(path));
  const editor = await vscode.window.showTextDocument(document);
  const position = document.positionAt(at);
  editor.selection = new vscode.Selection(position, position);
  return editor;
}

/** Types as the keyboard does, one key at a time. */
export async function type(text: string): Promise<void> {
  for (const character of text) {
    await vscode.commands.executeCommand("type", { text: character });
  }
}

/**
 * Runs `command` ("editor.action.inlineSuggest.commit"...) until it changes the text, which it does
 * as soon as ghost text is shown. Returns what it inserted.
 */
export async function accept(editor: vscode.TextEditor, command: string): Promise<string> {
  const before = editor.document.getText();
  const offset = editor.document.offsetAt(editor.selection.active);
  await until("ghost text to accept", async () => {
    await vscode.commands.executeCommand(command);
    return editor.document.getText() === before ? null : true;
  });
  const added = editor.document.getText().length - before.length;
  return editor.document.getText().slice(offset, offset + added);
}

const commit = "editor.action.inlineSuggest.commit";

/** What is shown at the cursor of `source` once `typed` is typed there, accepted and read. */
export async function shownAfter(
  extension: string,
  source: string,
  typed: string,
): Promise<string> {
  const editor = await open(extension, source);
  await type(typed);
  return accept(editor, commit);
}

export interface Proposed {
  readonly typed: string;
  readonly shown: string;
}

/**
 * What is typed, of a few things, and what is then shown at the cursor of `source`: the first that has
 * `least` characters, because what the model says differs from one training to the next.
 */
export async function longProposal(
  extension: string,
  source: string,
  least: number,
): Promise<Proposed> {
  const all: Proposed[] = [];
  for (const typed of ["return ", "return Math.", "if (", "console."]) {
    const shown = await shownAfter(extension, source, typed);
    all.push({ typed, shown });
    if (shown.length >= least) return { typed, shown };
  }
  throw new Error(`All is shorter than ${least} characters: ${JSON.stringify(all)}`);
}

/** Makes VS Code ask for ghost text here and now. */
export async function trigger(): Promise<void> {
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
}

/** Whether running `command` for `ms` leaves the text alone: no ghost text is there to accept. */
export async function nothingToAccept(editor: vscode.TextEditor, ms: number): Promise<boolean> {
  const before = editor.document.getText();
  const end = Date.now() + ms;
  while (Date.now() < end) {
    await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
    if (editor.document.getText() !== before) return false;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  return true;
}
