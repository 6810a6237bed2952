// Refactorings from the command to the proposal: one a document, each in a diff of its own.

import { setTimeout as delay } from "node:timers/promises";
import {
  type CancellationToken,
  CancellationTokenSource,
  type Disposable,
  ProgressLocation,
  Range,
  type TextDocument,
  type Uri,
  window,
  workspace,
} from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  type RefactorParams,
  type RefactorProgress,
  type RefactorResult,
  refactorMethod,
  refactorProgressMethod,
} from "../../server/protocol";
import type { Instructions } from "./instruction";
import { explain } from "./messages";
import type { Instruction } from "./presets";
import { offsetOf, Proposal, type Span } from "./proposal";
import { problemsIn } from "./problems";
import { Refactoring, SCHEME } from "./refactoring";
import { ProposalView } from "./view";

const HEARD_MS = 3000; // between two messages of progress: a screen reader says each of them
const READ_MS = 1500; // that the last one stays

/** A request under way. */
interface Request {
  readonly id: string;
  readonly refactoring: Refactoring;
  /** The text that was asked about. */
  readonly base: string;
  readonly report: (message: string) => void;
  /** Cancelled: what the server still says of it comes too late. */
  readonly token: CancellationToken;
}

export class RefactorController implements Disposable {
  private readonly refactorings = new Map<string, Refactoring>(); // by the document's URI
  private readonly requests = new Map<string, Request>(); // by id
  readonly view = new ProposalView(this, (refactoring) => void this.discard(refactoring));

  constructor(
    private readonly client: LanguageClient,
    readonly instructions: Instructions,
  ) {
    client.onNotification(refactorProgressMethod, (news: RefactorProgress) => this.heard(news));
  }

  /** By the URI of the document or of the proposal. */
  find(uri: Uri | undefined): Refactoring | undefined {
    if (uri === undefined) return undefined;
    if (uri.scheme !== SCHEME) return this.refactorings.get(uri.toString());
    return [...this.refactorings.values()].find(({ id }) => id === uri.query);
  }

  /**
   * Asks the model. Ends once all is written, or nothing is. One under way in `document` is over.
   * `attempt`: above 0, for another answer than the likeliest.
   */
  async start(
    document: TextDocument,
    selected: Span,
    asked: Instruction,
    attempt = 0,
  ): Promise<void> {
    const before = this.find(document.uri);
    const refactoring = new Refactoring(document.uri, document.languageId, selected, asked);
    refactoring.attempt = attempt;
    this.refactorings.set(document.uri.toString(), refactoring);
    if (before !== undefined) await this.discard(before);
    if (this.find(document.uri) === refactoring) await this.run(refactoring); // else a later one has come
  }

  /** Asks for another answer, about what stands now where the target was. */
  async regenerate(refactoring: Refactoring): Promise<void> {
    const attempt = refactoring.attempt + 1;
    if (this.find(refactoring.uri) !== refactoring) {
      // It is over, since it was refused or while the user was asked.
      const document = await workspace.openTextDocument(refactoring.uri);
      return this.start(document, refactoring.selected, refactoring.asked, attempt);
    }
    refactoring.cancellation.cancel();
    refactoring.cancellation = new CancellationTokenSource();
    refactoring.attempt = attempt;
    await this.run(refactoring);
  }

  private async run(refactoring: Refactoring): Promise<void> {
    const { proposal, state, cancellation } = refactoring;
    const before = state === "done" ? proposal : null;
    refactoring.state = "asked";
    const document = await workspace.openTextDocument(refactoring.uri);
    const result = await this.showing(refactoring, (report) =>
      this.ask(refactoring, document, report),
    );
    const replaced = refactoring.cancellation !== cancellation; // by another attempt
    if (replaced || this.find(refactoring.uri) !== refactoring) return;
    if (result.kind === "done") return this.finish(refactoring, result);
    if (before?.fits(document.getText())) {
      refactoring.proposal = before;
      refactoring.state = "done";
      this.view.stateChanged(refactoring);
    } else {
      await this.discard(refactoring);
    }
    if (result.kind !== "cancelled") explain(result, () => void this.regenerate(refactoring));
    else window.setStatusBarMessage("Refactoring stopped", READ_MS);
  }

  /** What `ask` gives. A notification shows how far it is, can stop it, and says what came of it. */
  private showing(
    refactoring: Refactoring,
    ask: (report: Request["report"]) => Promise<RefactorResult>,
  ): Promise<RefactorResult> {
    const { cancellation, title } = refactoring;
    const options = { location: ProgressLocation.Notification, cancellable: true };
    return new Promise((resolve) => {
      void window.withProgress(
        { ...options, title: `Refactoring ${title}` },
        async (progress, token) => {
          token.onCancellationRequested(() => cancellation.cancel());
          const report = (message: string) => progress.report({ message });
          report(refactoring.says);
          const result = await ask(report);
          resolve(result);
          if (result.kind !== "done") return;
          await delay(0); // what hears the result comes first
          report(refactoring.says);
          await delay(READ_MS);
        },
      );
    });
  }

  private async ask(
    refactoring: Refactoring,
    document: TextDocument,
    report: Request["report"],
  ): Promise<RefactorResult> {
    const { selected, asked, attempt, cancellation } = refactoring;
    const id = `${refactoring.id}.${attempt}`;
    const { start, end } = new Range(
      document.positionAt(selected.start),
      document.positionAt(selected.end),
    );
    const params: RefactorParams = {
      id,
      textDocument: { uri: this.client.code2ProtocolConverter.asUri(refactoring.uri) },
      version: document.version,
      range: { start, end },
      attempt,
      problems: problemsIn(document, start.line), // edits have moved or mended those of an earlier attempt
      ...asked,
    };
    const base = document.getText();
    const { token } = cancellation;
    this.requests.set(id, { id, refactoring, base, report: seldom(report), token });
    try {
      return await this.client.sendRequest(refactorMethod, params, token);
    } catch (error) {
      if (token.isCancellationRequested) return { kind: "cancelled" };
      return { kind: "failed", code: "SERVER_STOPPED", message: `The server ended: ${error}` };
    } finally {
      this.requests.delete(id);
    }
  }

  private heard({ id, target, text }: RefactorProgress): void {
    const request = this.requests.get(id);
    if (request === undefined || request.token.isCancellationRequested) return;
    const { refactoring, base, report } = request;
    if (text === "" && refactoring.state === "asked") {
      const span = { start: offsetOf(base, target.start), end: offsetOf(base, target.end) };
      refactoring.proposal = new Proposal(base, span);
      void this.view.open(refactoring);
      return;
    }
    refactoring.state = "writing";
    refactoring.linesWritten = text.split("\n").length;
    refactoring.proposal?.writePart(text);
    report(refactoring.says);
    this.view.textChanged(refactoring);
  }

  private async finish(
    refactoring: Refactoring,
    { text, breaksSyntax }: Extract<RefactorResult, { kind: "done" }>,
  ): Promise<void> {
    refactoring.state = "done";
    refactoring.warned = false;
    refactoring.proposal?.write(text, breaksSyntax);
    this.view.stateChanged(refactoring);
    await this.view.opened(refactoring);
    this.view.showNext(refactoring);
  }

  /** Whatever it has written is gone; what was accepted of it stays. */
  async discard(refactoring: Refactoring): Promise<void> {
    const key = refactoring.uri.toString();
    if (this.refactorings.get(key) === refactoring) this.refactorings.delete(key);
    refactoring.dispose();
    await this.view.close(refactoring);
  }

  dispose(): void {
    for (const refactoring of this.refactorings.values()) refactoring.dispose();
    this.view.dispose();
  }
}

/** `report`, at most once in HEARD_MS. */
function seldom(report: (message: string) => void): (message: string) => void {
  let last = -Infinity;
  return (message) => {
    if (performance.now() - last < HEARD_MS) return;
    last = performance.now();
    report(message);
  };
}
