// The proposal beside the code: a diff whose left side is the file and whose right side is the whole
// file as it would be, with what can be done about it above each change.

import {
  CodeLens,
  commands,
  type Disposable,
  EventEmitter,
  languages,
  Position,
  Range,
  Selection,
  StatusBarAlignment,
  type Tab,
  TabInputTextDiff,
  TextEditorRevealType,
  ThemeColor,
  type Uri,
  window,
  workspace,
} from "vscode";
import { type Refactoring, SCHEME } from "./refactoring";

const SHOWN_MS = 100; // between two states of the text that is written
const CHARACTERS_A_MS = 2000; // of a document beyond 200,000 characters, as much longer as it is longer

/** All refactorings, as their view and their commands find them. */
export interface Source {
  /** By the URI of the proposal or of the document. */
  find(uri: Uri | undefined): Refactoring | undefined;
}

export class ProposalView implements Disposable {
  private readonly changed = new EventEmitter<Uri>();
  private readonly lensesChanged = new EventEmitter<void>();
  private readonly item = window.createStatusBarItem("ringside.refactor", StatusBarAlignment.Left);
  private readonly timers = new Map<string, NodeJS.Timeout>(); // by id
  private readonly opening = new Map<string, Promise<void>>(); // by id
  private readonly registered: readonly Disposable[];

  /** `onClosed` hears of a proposal whose diff the user has closed. */
  constructor(
    private readonly source: Source,
    onClosed: (refactoring: Refactoring) => void,
  ) {
    this.item.name = "Ringside: Refactoring";
    this.registered = [
      workspace.registerTextDocumentContentProvider(SCHEME, {
        onDidChange: this.changed.event,
        provideTextDocumentContent: (uri) => source.find(uri)?.proposal?.text ?? "",
      }),
      languages.registerCodeLensProvider(
        { scheme: SCHEME },
        {
          onDidChangeCodeLenses: this.lensesChanged.event,
          provideCodeLenses: ({ uri }) => {
            const refactoring = source.find(uri);
            return refactoring === undefined ? [] : lensesOf(refactoring);
          },
        },
      ),
      window.tabGroups.onDidChangeTabs(({ closed }) => {
        for (const { input } of closed) {
          if (!(input instanceof TabInputTextDiff)) continue;
          const refactoring = source.find(input.modified);
          // A tab that is moved to another group is closed as well.
          if (refactoring !== undefined && tabsOf(refactoring).length === 0) onClosed(refactoring);
        }
        this.showState();
      }),
      window.tabGroups.onDidChangeTabGroups(() => this.showState()),
      window.onDidChangeActiveTextEditor(() => this.showState()),
    ];
  }

  /** Opens the diff, or brings it to the front. */
  open(refactoring: Refactoring): Promise<void> {
    const opening = this.openDiff(refactoring);
    this.opening.set(refactoring.id, opening);
    return opening;
  }

  /** Ends once the diff is open, if it is being opened. */
  async opened({ id }: Refactoring): Promise<void> {
    await this.opening.get(id);
  }

  private async openDiff(refactoring: Refactoring): Promise<void> {
    const { uri, proposalUri, languageId, title, proposal } = refactoring;
    const proposed = await workspace.openTextDocument(proposalUri);
    if (proposed.languageId !== languageId) {
      await languages.setTextDocumentLanguage(proposed, languageId);
    }
    const start = proposed.positionAt(proposal?.target.start ?? 0);
    const selection = new Range(start, start);
    await commands.executeCommand("vscode.diff", uri, proposalUri, `${title} (Ringside)`, {
      preview: false,
      selection,
    });
    this.changed.fire(proposalUri); // what was written while it opened was not heard by anyone
    this.showState();
  }

  /** The refactoring whose diff the user looks at, or of whose document. */
  get current(): Refactoring | undefined {
    return this.shown ?? this.source.find(window.activeTextEditor?.document.uri);
  }

  private get shown(): Refactoring | undefined {
    const input = window.tabGroups.activeTabGroup.activeTab?.input;
    return input instanceof TabInputTextDiff ? this.source.find(input.modified) : undefined;
  }

  /** What is proposed has changed: shown soon, but no more often than can be seen. */
  textChanged(refactoring: Refactoring): void {
    const { id, proposalUri, proposal } = refactoring;
    if (this.timers.has(id)) return;
    const size = proposal?.text.length ?? 0;
    const show = () => {
      this.timers.delete(id);
      this.changed.fire(proposalUri);
      this.showState();
    };
    this.timers.set(id, setTimeout(show, Math.max(SHOWN_MS, size / CHARACTERS_A_MS)));
  }

  /** It is done, or some of it is accepted: shown at once. */
  stateChanged({ id, proposalUri }: Refactoring): void {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    this.changed.fire(proposalUri);
    this.lensesChanged.fire();
    this.showState();
  }

  /** Puts the cursor at the first change from `line` of the proposal on, else at the first of all. */
  showNext({ proposal, proposalUri }: Refactoring, line = 0): void {
    const hunks = proposal?.hunks ?? [];
    const next = hunks.find(({ afterLine }) => afterLine >= line) ?? hunks[0];
    const wanted = proposalUri.toString();
    const editor = window.visibleTextEditors.find(
      ({ document }) => document.uri.toString() === wanted,
    );
    if (next === undefined || editor === undefined) return;
    const place = new Position(next.afterLine, 0);
    editor.selection = new Selection(place, place);
    editor.revealRange(editor.selection, TextEditorRevealType.InCenterIfOutsideViewport);
  }

  async close(refactoring: Refactoring): Promise<void> {
    clearTimeout(this.timers.get(refactoring.id));
    this.timers.delete(refactoring.id);
    await this.opened(refactoring); // what is not open yet can't be closed
    this.opening.delete(refactoring.id);
    await window.tabGroups.close(tabsOf(refactoring));
    this.showState();
  }

  /** For menus, keys and the status item: the state of what the user looks at. */
  private showState(): void {
    const refactoring = this.shown;
    const state = refactoring?.state ?? "none";
    void commands.executeCommand("setContext", "ringside.refactor", state);
    if (refactoring === undefined) {
      this.item.hide();
      return;
    }
    const done = state === "done";
    const broken = done && refactoring.proposal?.breaksSyntax === true;
    const icon = broken ? "warning" : done ? "diff" : "loading~spin";
    this.item.text = `$(${icon}) ${refactoring.says}`;
    this.item.command = done ? "ringside.acceptRefactoring" : "ringside.stopRefactoring";
    const click = done ? "Click to accept all" : "Click to stop";
    this.item.tooltip = `${refactoring.title}: ${refactoring.says}. ${click}.`;
    this.item.accessibilityInformation = { label: this.item.tooltip };
    this.item.backgroundColor = broken
      ? new ThemeColor("statusBarItem.warningBackground")
      : undefined;
    this.item.show();
  }

  dispose(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    for (const one of [...this.registered, this.changed, this.lensesChanged, this.item]) {
      one.dispose();
    }
  }
}

function tabsOf({ proposalUri }: Refactoring): Tab[] {
  const wanted = proposalUri.toString();
  return window.tabGroups.all
    .flatMap(({ tabs }) => tabs)
    .filter(
      ({ input }) => input instanceof TabInputTextDiff && input.modified.toString() === wanted,
    );
}

/** Above each change what can be done about it; above the first, about all of them. */
function lensesOf({ state, proposal, uri }: Refactoring): CodeLens[] {
  if (state !== "done" || proposal === null) return [];
  return proposal.hunks.flatMap(({ afterLine }, i) => {
    const range = new Range(afterLine, 0, afterLine, 0);
    const lens = (title: string, command: string) =>
      new CodeLens(range, { title, command, arguments: [{ uri, line: afterLine }] });
    const one = lens("$(check) Accept This Change", "ringside.acceptChange");
    if (i > 0) return [one];
    return [
      one,
      lens("$(check-all) Accept All", "ringside.acceptRefactoring"),
      lens("$(refresh) Regenerate", "ringside.regenerate"),
      lens("$(discard) Discard", "ringside.discardRefactoring"),
    ];
  });
}
