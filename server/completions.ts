// All completions of one server: what is known between them, what is under way, what became of them.

import { join } from "node:path";
import { ActivityMeter } from "./activity";
import { CompletionCache } from "./cache";
import { type Completion, complete, type Request, startAhead } from "./completion";
import { Context } from "./context/context";
import { Debounce } from "./debounce";
import type { OpenDocument } from "./document";
import type { Generator } from "./generator";
import { LookAhead } from "./lookahead";
import type { Activity, Settings } from "./protocol";
import type { ShownAt } from "./shown";
import { Statistics } from "./statistics";
import { SyntaxTrees } from "./trees";
import type { Tuning } from "./tuning";
import { Usage } from "./usage";
import { type Explained, explanation } from "./why";

export interface CompletionsListener {
  log(message: string): void;
  /** What an open document holds now; undefined once it is closed. */
  textOf(uri: string): string | undefined;
  activity(activity: Activity): void;
}

/** The model that is asked, and how it is used here. */
export interface Asked {
  readonly engine: Generator;
  /** null: as the settings say. */
  readonly tuning: Tuning | null;
  readonly settings: Settings;
}

export class Completions {
  readonly context = new Context();
  readonly trees = new SyntaxTrees();
  readonly debounce = new Debounce();
  readonly lookAhead = new LookAhead();
  readonly meter: ActivityMeter;
  statistics = new Statistics();
  private usage: Usage;
  private readonly cache = new CompletionCache();
  private readonly explained = new Map<string, Explained>(); // by URI, of open documents
  private readonly underWay = new Set<{ readonly uri: string; readonly stop: AbortController }>();

  constructor(private readonly listener: CompletionsListener) {
    this.meter = new ActivityMeter((activity) => listener.activity(activity));
    this.usage = this.usageOf(this.statistics);
  }

  /** From now on, counts outlast this process: in a file of `folder`. */
  keepStatisticsIn(folder: string): void {
    const file = join(folder, "statistics.json");
    this.statistics = new Statistics(file, (problem) => this.listener.log(problem));
    this.usage = this.usageOf(this.statistics);
  }

  /**
   * What is proposed for `request`, which an editor makes at `at`. Rejects with AbortError once `signal`
   * fires or nothing can come of it any more, or with what went wrong.
   */
  async complete(
    { engine, tuning, settings }: Asked,
    request: Request,
    at: Pick<ShownAt, "uri" | "offset">,
    signal: AbortSignal,
  ): Promise<Completion> {
    const { cache, context, trees, debounce, lookAhead } = this;
    const known = { cache, context, trees, debounce, lookAhead };
    const services = { ...known, engine, tuning, settings };
    const completion = await this.whileWanted(at.uri, signal, (wanted) =>
      complete(services, request, wanted),
    );
    const before = request.selected?.text.length ?? 0; // which the editor inserts with the proposal
    const now = before === 0 ? this.listener.textOf(at.uri) : undefined;
    const behind = now === undefined ? {} : { behind: now.slice(at.offset) };
    this.usage.answered(completion, { ...at, ...behind, offset: at.offset + before });
    this.meter.completed(completion);
    this.explained.set(at.uri, { completion, request, settings });
    const [first] = completion.proposals;
    if (first !== undefined && !engine.isShared) startAhead(services, request, first);
    return completion;
  }

  /** Does `work` for the document at `uri`. Rejects with AbortError also once nothing can come of it. */
  private async whileWanted<T>(
    uri: string,
    signal: AbortSignal,
    work: (wanted: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const own = { uri, stop: new AbortController() };
    const wanted = AbortSignal.any([signal, own.stop.signal]);
    this.underWay.add(own);
    try {
      const done = await work(wanted);
      wanted.throwIfAborted(); // what comes too late is not shown
      return done;
    } finally {
      this.underWay.delete(own);
    }
  }

  /** Why the last completion of the document at `uri` was what it was, as Markdown; `model` is what is loaded. */
  why(uri: string, model: string): string {
    return explanation(model, this.explained.get(uri));
  }

  /** The settings have changed: what was made with others, or is being made, is not proposed. */
  forget(): void {
    this.giveUp();
    this.cache.clear();
  }

  /** The same for another model, which has not been measured yet. */
  forgetModel(): void {
    this.forget(); // the engine would end it with half a text, for the next one's cache
    this.meter.reset();
    this.debounce.reset();
  }

  /** The document was opened or edited, and with it the `program` that it is a part of. */
  edited(document: OpenDocument, program = document): void {
    this.usage.edited(document.uri, document.text);
    this.trees.changed(program);
    this.context.changed(program);
  }

  /** The document at `uri` is open no more. */
  closed(uri: string): void {
    this.giveUp(uri); // it would be kept for a document that is gone
    this.trees.forget(uri);
    this.explained.delete(uri);
    this.context.closed(uri);
  }

  close(): void {
    this.giveUp();
    this.usage.close();
    this.context.close();
  }

  /** Ends what is written: all of it, or for the document at `uri`. */
  private giveUp(uri: string | null = null): void {
    this.lookAhead.cancel();
    for (const { uri: of, stop } of this.underWay) if (uri === null || uri === of) stop.abort();
  }

  private usageOf(statistics: Statistics): Usage {
    return new Usage(statistics, (uri) => this.listener.textOf(uri));
  }
}
