// The lightbulb: a refactoring of what is selected, and a fix of what is wrong.

import {
  CodeAction,
  CodeActionKind,
  type CodeActionProvider,
  CodeActionTriggerKind,
  DiagnosticSeverity,
  type Disposable,
  languages,
  Range,
} from "vscode";
import type { Status } from "../../server/protocol";
import { documentSchemes } from "../schemes";
import { get } from "../settings";
import type { RefactorArgument } from "./commands";

/** What the model that runs now can do: a fix that it can't write would stand in every menu. */
const providerFor = (status: () => Status): CodeActionProvider => ({
  provideCodeActions({ uri }, range, { diagnostics, triggerKind }) {
    const now = status();
    if (now.kind !== "ready" || !get("enabled")) return [];
    const action = (title: string, kind: CodeActionKind, argument: RefactorArgument) => {
      const made = new CodeAction(title, kind);
      made.command = { title, command: "ringside.refactor", arguments: [argument] };
      return made;
    };
    const wrong = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
    const actions: CodeAction[] = [];
    if (wrong[0] !== undefined && now.canChat) {
      // Around the problem: where it shows is seldom all that has to change.
      const place = wrong[0].range.start;
      const argument = { uri, range: new Range(place, place), preset: "fix" } as const;
      const fix = action("Fix with Ringside", CodeActionKind.QuickFix, argument);
      fix.diagnostics = wrong;
      actions.push(fix);
    }
    // At every cursor, a lightbulb would say nothing.
    if (!range.isEmpty || triggerKind === CodeActionTriggerKind.Invoke) {
      const { RefactorRewrite } = CodeActionKind;
      actions.push(
        now.canChat
          ? action("Refactor with Ringside...", RefactorRewrite, { uri, range })
          : action("Rewrite This Block with Ringside", RefactorRewrite, {
              ...{ uri, range, preset: "rewrite" },
            }),
      );
    }
    return actions;
  },
});

export function registerActions(status: () => Status): Disposable {
  return languages.registerCodeActionsProvider(
    documentSchemes.map((scheme) => ({ scheme })),
    providerFor(status),
    { providedCodeActionKinds: [CodeActionKind.QuickFix, CodeActionKind.RefactorRewrite] },
  );
}
