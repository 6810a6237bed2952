// What the user is told when there is nothing to show, and what to do then. Asked for by a command, so
// answered where the user is.

import { commands, window } from "vscode";
import type { RefactorResult, RefusalCode } from "../../server/protocol";

export type Unsuccessful = Extract<RefactorResult, { kind: "refused" | "failed" }>;

/** What a button does: a command, or once more. */
const buttons = {
  "Choose a Model": "ringside.chooseModel",
  "Rewrite This Block": "ringside.rewriteBlock",
  "Show Log": "ringside.showLog",
  Regenerate: null,
} as const;

type Button = keyof typeof buttons;

const offered: Readonly<Record<RefusalCode, readonly Button[]>> = {
  CANT_CHAT: ["Choose a Model", "Rewrite This Block"],
  NO_MODEL: ["Show Log"],
  EXCLUDED: [],
  NO_TARGET: [],
  DOCUMENT_CHANGED: ["Regenerate"],
  NO_CODE: ["Regenerate"],
  UNCHANGED: ["Regenerate"],
  CUT_OFF: [],
};

/** Returns at once: whether and when the user answers is the user's affair. */
export function explain(result: Unsuccessful, regenerate: () => void): void {
  const failed = result.kind === "failed";
  const choices: readonly Button[] = failed ? ["Show Log"] : offered[result.code];
  const show = failed ? window.showErrorMessage : window.showWarningMessage;
  void show(`Refactoring: ${result.message}`, ...choices).then((chosen) => {
    if (chosen === undefined) return;
    const command = buttons[chosen];
    if (command === null) regenerate();
    else void commands.executeCommand(command);
  });
}
