// One refactoring: what was asked of which document, how far it is, and what is proposed.

import { CancellationTokenSource, type Disposable, Uri, workspace } from "vscode";
import { type Instruction, titleOf } from "./presets";
import { movedBy, type Proposal, type Span } from "./proposal";

export const SCHEME = "ringside-refactor";

/** "asked": nothing is written yet; "done": it waits to be accepted or discarded. */
export type State = "asked" | "writing" | "done";

let refactorings = 0;

export class Refactoring {
  readonly id = String(++refactorings);
  /** The proposal's: with the document's name, so that it has its icon. */
  readonly proposalUri: Uri;
  state: State = "asked";
  proposal: Proposal | null = null;
  linesWritten = 0;
  /** Whether the user has been told that it breaks the syntax. */
  warned = false;
  /** Whether an edit of the document is on its way: another one would not fit what comes of it. */
  accepting = false;
  attempt = 0;
  /** Of the request under way. */
  cancellation = new CancellationTokenSource();
  private readonly listener: Disposable;

  /** `selected`, or the cursor: offsets into the document as it is now, and followed from then on. */
  constructor(
    readonly uri: Uri,
    readonly languageId: string,
    public selected: Span,
    readonly asked: Instruction,
  ) {
    this.proposalUri = Uri.from({ scheme: SCHEME, path: uri.path, query: this.id });
    this.listener = workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (document.uri.toString() !== uri.toString()) return;
      this.selected = contentChanges.reduce(movedBy, this.selected);
    });
  }

  /** The document's name. */
  get name(): string {
    return this.uri.path.slice(this.uri.path.lastIndexOf("/") + 1);
  }

  get title(): string {
    return `${this.name}: ${titleOf(this.asked)}`;
  }

  /** How far it is, for eyes and ears. */
  get says(): string {
    if (this.state === "asked") return "reading the code";
    if (this.state === "writing") return `${counted(this.linesWritten, "line")} written`;
    const changes = `${counted(this.proposal?.hunks.length ?? 0, "change")} proposed`;
    return this.proposal?.breaksSyntax ? `${changes}, with broken syntax` : changes;
  }

  dispose(): void {
    this.cancellation.cancel();
    this.cancellation.dispose();
    this.listener.dispose();
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
