// What the tests of refactoring share: commands, the proposal, and messages that are answered.

import * as vscode from "vscode";
import { until } from "./editor";

const SCHEME = "ringside-refactor";

/** Runs a command as menus and keys do. Ends when the command does. */
export async function run(command: string, argument?: unknown): Promise<void> {
  await vscode.commands.executeCommand(command, argument);
}

export function diffTabs(): vscode.Tab[] {
  return vscode.window.tabGroups.all
    .flatMap(({ tabs }) => tabs)
    .filter(
      ({ input }) => input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME,
    );
}

/** The proposal that is open, whatever is written of it. */
export function proposed(): vscode.TextDocument | undefined {
  const [tab] = diffTabs();
  const uri = (tab?.input as vscode.TabInputTextDiff | undefined)?.modified.toString();
  return vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri);
}
proposed.soon = () => until("a proposal", proposed);

export async function undo(): Promise<void> {
  await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
  await vscode.commands.executeCommand("undo");
}

export interface Message {
  readonly text: string;
  readonly buttons: readonly string[];
}

/** What is shown while `act` runs; each is answered with `choice`, if it has such a button. */
export async function answering(
  choice: string | undefined,
  act: () => Promise<void>,
): Promise<{ messages: readonly Message[] }> {
  const messages: Message[] = [];
  const answer = async (text: string, ...buttons: string[]) => {
    messages.push({ text, buttons });
    return choice !== undefined && buttons.includes(choice) ? choice : undefined;
  };
  const names = ["showWarningMessage", "showErrorMessage", "showInformationMessage"] as const;
  const window = vscode.window as unknown as Record<string, unknown>;
  const real = names.map((name) => window[name]);
  for (const name of names) window[name] = answer;
  try {
    await act();
  } finally {
    names.forEach((name, i) => {
      window[name] = real[i];
    });
  }
  return { messages };
}

/** The titles of what is offered at `range` of `editor`'s document, where something is wrong at `wrong`. */
export async function offeredAt(
  { document: { uri } }: vscode.TextEditor,
  range: vscode.Range,
  wrong: vscode.Range,
): Promise<string[]> {
  const problems = vscode.languages.createDiagnosticCollection("test");
  problems.set(uri, [new vscode.Diagnostic(wrong, "This is wrong.")]);
  try {
    const command = "vscode.executeCodeActionProvider";
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(command, uri, range);
    return actions.map(({ title }) => title).filter((title) => title.includes("Ringside"));
  } finally {
    problems.dispose();
  }
}
