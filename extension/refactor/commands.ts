// The commands of refactoring, one row each; package.json says when each of them can be run.

import { Range, Uri, window, workspace } from "vscode";
import { cantChat, type RefactorPreset, type Status } from "../../server/protocol";
import { documentSchemes } from "../schemes";
import { acceptAll, acceptOne } from "./accept";
import type { RefactorController } from "./controller";
import { explain } from "./messages";
import { type Instruction, presets } from "./presets";
import { problemsIn } from "./problems";
import { type Refactoring, SCHEME } from "./refactoring";

export interface RefactorServices {
  readonly refactor: RefactorController;
  /** What the server said last. */
  readonly status: { readonly current: Status };
}

/** What code actions, code lenses and the user's own keys give to a command; all of it may lack. */
export interface RefactorArgument {
  readonly uri?: Uri;
  readonly range?: Range;
  /** Of the proposal. */
  readonly line?: number;
  readonly preset?: RefactorPreset;
  readonly instruction?: string;
}

const SHOWN_MS = 3000; // of a message in the status bar

type Run = (services: RefactorServices, argument?: unknown) => Promise<void> | void;

export const refactorCommands: Readonly<Record<string, Run>> = {
  "ringside.refactor": (services, argument) => start(services, read(argument)),

  "ringside.rewriteBlock": (services, argument) =>
    start(services, { ...read(argument), preset: "rewrite" }),

  "ringside.acceptRefactoring": withCurrent(acceptAll),

  "ringside.acceptChange": withCurrent((controller, refactoring, { line }) =>
    acceptOne(controller, refactoring, line),
  ),

  "ringside.discardRefactoring": withCurrent((controller, refactoring) =>
    controller.discard(refactoring),
  ),

  "ringside.stopRefactoring": withCurrent((_, { cancellation }) => cancellation.cancel()),

  "ringside.regenerate": withCurrent((controller, refactoring) =>
    controller.regenerate(refactoring),
  ),

  "ringside.changeInstruction": withCurrent(async (controller, refactoring) => {
    const { uri, asked } = refactoring;
    const document = await workspace.openTextDocument(uri);
    const { line } = document.positionAt(refactoring.selected.start);
    const { length } = problemsIn(document, line);
    const does = await controller.instructions.ask(length > 0, asked.instruction);
    if (does !== undefined) await controller.start(document, refactoring.selected, does);
  }),

  "ringside.clearInstructions": async ({ refactor }) => refactor.instructions.clear(),
};

/** A command about one refactoring: the argument's, or the one that the user looks at. */
function withCurrent(
  run: (
    controller: RefactorController,
    refactoring: Refactoring,
    argument: RefactorArgument,
  ) => Promise<void> | void,
): Run {
  return ({ refactor }, argument) => {
    const given = read(argument);
    const refactoring = refactor.find(given.uri) ?? refactor.view.current;
    if (refactoring !== undefined) return run(refactor, refactoring, given);
    window.setStatusBarMessage("There is no refactoring here", SHOWN_MS);
  };
}

/** `argument` as far as it is one: menus give a URI, keys whatever keybindings.json says. */
function read(argument: unknown): RefactorArgument {
  if (argument instanceof Uri) return { uri: argument };
  if (typeof argument !== "object" || argument === null) return {};
  const { uri, range, line, preset, instruction } = argument as Record<string, unknown>;
  const known = presets.find(({ id }) => id === preset)?.id;
  return {
    ...(uri instanceof Uri && { uri }),
    ...(range instanceof Range && { range }),
    ...(typeof line === "number" && { line }),
    ...(known !== undefined && { preset: known }),
    ...(typeof instruction === "string" && { instruction }),
  };
}

async function start(
  { refactor, status: { current } }: RefactorServices,
  argument: RefactorArgument,
): Promise<void> {
  const editor = window.activeTextEditor;
  const meant = argument.uri ?? editor?.document.uri;
  const uri = meant?.scheme === SCHEME ? refactor.find(meant)?.uri : meant; // of a proposal, its file
  if (uri === undefined || !documentSchemes.includes(uri.scheme)) {
    window.setStatusBarMessage("There is no code here to refactor", SHOWN_MS);
    return;
  }
  if (current.kind === "ready" && !current.canChat && argument.preset !== "rewrite") {
    // Before the user writes an instruction for nothing.
    explain({ kind: "refused", code: "CANT_CHAT", message: cantChat(current.model) }, () => {});
    return;
  }
  const document = await workspace.openTextDocument(uri);
  const shown = [editor, ...window.visibleTextEditors].find((one) => one?.document === document);
  const range = argument.range ?? shown?.selection ?? new Range(0, 0, 0, 0);
  const { length } = problemsIn(document, range.start.line);
  const does = given(argument) ?? (await refactor.instructions.ask(length > 0));
  if (does === undefined) return;
  const selected = { start: document.offsetAt(range.start), end: document.offsetAt(range.end) };
  await refactor.start(document, selected, does);
}

function given({ preset, instruction = "" }: RefactorArgument): Instruction | null {
  if (preset === undefined && instruction.trim() === "") return null;
  return { preset: preset ?? null, instruction };
}
