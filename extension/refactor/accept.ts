// Accepting what is proposed: one edit of the document, so one step to undo.

import { type Position, Range, type TextDocument, WorkspaceEdit, window, workspace } from "vscode";
import type { RefactorController } from "./controller";
import { type Hunk, hunkAt } from "./hunks";
import type { Refactoring } from "./refactoring";

const SHOWN_MS = 3000; // of a message in the status bar

/** All that is not accepted yet; then the refactoring is over. */
export async function acceptAll(
  controller: RefactorController,
  refactoring: Refactoring,
): Promise<void> {
  const document = await acceptable(controller, refactoring);
  if (document === null) return;
  if (await apply(document, refactoring, refactoring.proposal!.hunks)) {
    await leave(controller, refactoring, document);
  }
}

/** The hunk at `line` of the proposal, or where the cursor is on either side. */
export async function acceptOne(
  controller: RefactorController,
  refactoring: Refactoring,
  line?: number,
): Promise<void> {
  const document = await acceptable(controller, refactoring);
  if (document === null) return;
  const proposal = refactoring.proposal!;
  const hunk =
    line === undefined ? hunkAtCursor(refactoring) : hunkAt(proposal.hunks, line, "after");
  if (hunk === undefined) {
    window.setStatusBarMessage("There is no change at the cursor", SHOWN_MS);
    return;
  }
  if (!(await apply(document, refactoring, [hunk]))) return;
  if (proposal.hunks.length === 0) return leave(controller, refactoring, document);
  controller.view.stateChanged(refactoring);
  controller.view.showNext(refactoring, hunk.afterLine);
}

function hunkAtCursor({ proposal, proposalUri }: Refactoring): Hunk | undefined {
  const editor = window.activeTextEditor;
  if (editor === undefined || proposal === null) return undefined;
  const after = editor.document.uri.toString() === proposalUri.toString();
  return hunkAt(proposal.hunks, editor.selection.active.line, after ? "after" : "before");
}

/** The document, if it is still what the proposal was made from and the user wants it nevertheless. */
async function acceptable(
  controller: RefactorController,
  refactoring: Refactoring,
): Promise<TextDocument | null> {
  const { proposal, state, uri, name } = refactoring;
  if (state !== "done" || proposal === null) return null;
  const document = await workspace.openTextDocument(uri);
  if (!proposal.fits(document.getText())) {
    const message = `Refactoring: ${name} has changed since this was proposed.`;
    const chosen = await window.showWarningMessage(message, "Regenerate");
    if (chosen !== undefined) await controller.regenerate(refactoring);
    return null;
  }
  if (!proposal.breaksSyntax || refactoring.warned) return document;
  const message = `Refactoring: the proposal breaks the syntax of ${name}.`;
  const chosen = await window.showWarningMessage(message, "Accept Anyway", "Regenerate");
  if (chosen === "Regenerate") await controller.regenerate(refactoring);
  const { state: now, proposal: still } = refactoring;
  const there = controller.find(uri) === refactoring && now === "done" && still === proposal;
  if (chosen !== "Accept Anyway" || !there || !proposal.fits(document.getText())) return null;
  refactoring.warned = true;
  return document;
}

/** Whether `hunks` are in the document now. */
async function apply(
  document: TextDocument,
  refactoring: Refactoring,
  hunks: readonly Hunk[],
): Promise<boolean> {
  if (refactoring.accepting) return false; // the key was pressed twice
  refactoring.accepting = true;
  const edit = new WorkspaceEdit();
  for (const { start, end, text } of hunks) {
    const range = new Range(document.positionAt(start), document.positionAt(end));
    edit.replace(document.uri, range, text);
  }
  const applied = await workspace.applyEdit(edit);
  // From the last to the first, so that the places of those before stay what they are.
  if (applied) for (const hunk of hunks.toReversed()) refactoring.proposal?.accepted(hunk);
  else void window.showErrorMessage("Refactoring: the file can't be edited. Is it read-only?");
  refactoring.accepting = false;
  return applied;
}

/** Back to the document, at the place where it was changed. */
async function leave(
  controller: RefactorController,
  refactoring: Refactoring,
  document: TextDocument,
): Promise<void> {
  const place: Position = document.positionAt(refactoring.proposal!.target.start);
  await controller.discard(refactoring);
  await window.showTextDocument(document, { selection: new Range(place, place) });
  window.setStatusBarMessage("Refactoring accepted", SHOWN_MS);
}
