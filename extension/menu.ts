// The menu behind the status item: what can be done, with what is so now.

import { commands as vscodeCommands, QuickPickItemKind, type QuickPickItem, window } from "vscode";
import type { Status } from "../server/protocol";
import { get, offBecause } from "./settings";

interface Row extends QuickPickItem {
  readonly command?: readonly [string, ...unknown[]];
}

export async function showMenu(status: Status): Promise<void> {
  const rows = rowsFor(status, window.activeTextEditor?.document.languageId);
  const chosen = await window.showQuickPick(rows, {
    title: "Ringside",
    placeHolder: saying(status),
  });
  if (chosen?.command !== undefined) await vscodeCommands.executeCommand(...chosen.command);
}

function saying(status: Status): string {
  if (status.kind === "ready") return `${status.model} on ${status.device}`;
  if (status.kind === "off") return "Completions are off";
  return status.kind === "failed" ? status.message : "The model is being loaded";
}

function rowsFor(status: Status, languageId: string | undefined): Row[] {
  const enabled = get("enabled");
  const rows: Row[] = [
    {
      label: enabled ? "$(circle-slash) Turn completions off" : "$(check) Turn completions on",
      command: ["ringside.toggle"],
    },
  ];
  if (languageId !== undefined && enabled) {
    const isOff = offBecause(languageId) !== null;
    rows.push({
      label: isOff
        ? `$(check) Turn completions on for ${languageId}`
        : `$(circle-slash) Turn completions off for ${languageId}`,
      command: ["ringside.toggleLanguage"],
    });
  }
  if (languageId !== undefined) {
    rows.push({ label: "$(wand) Refactor...", command: ["ringside.refactor"] });
  }
  rows.push(
    { label: "The model", kind: QuickPickItemKind.Separator },
    {
      label: "$(server-process) Choose a model...",
      description: status.kind === "ready" ? status.model : "",
      command: ["ringside.chooseModel"],
    },
    { label: "$(question) Why this suggestion?", command: ["ringside.why"] },
    { label: "$(graph) Statistics", command: ["ringside.statistics"] },
    { label: "When something is wrong", kind: QuickPickItemKind.Separator },
    { label: "$(output) Show the log", command: ["ringside.showLog"] },
    { label: "$(debug-restart) Restart the server", command: ["ringside.restart"] },
    {
      label: "$(gear) Settings",
      command: ["workbench.action.openSettings", "@ext:ringside.ringside"],
    },
  );
  return rows;
}
