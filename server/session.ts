// What one server keeps between requests: the loaded engine, the cache, what has been learnt of time.

import os from "node:os";
import { basename } from "node:path";
import { CompletionCache } from "./cache";
import { type Completion, contextFor } from "./completion";
import { Context } from "./context";
import { Debounce } from "./debounce";
import { ModelEngine } from "./engine";
import { coded, isAbort } from "./errors";
import { modelsDirectoryIn, resolveModel } from "./models/source";
import { quickerThan } from "./models/suggest";
import type { Settings, Status } from "./protocol";
import { selfTest } from "./selftest";
import { SyntaxTrees } from "./trees";
import type { Tuning } from "./tuning";
import { countText, percentText } from "./units";

export interface Listener {
  status(status: Status): void;
  log(message: string): void;
}

const MEMORY_SHARE = 0.75; // of the machine's, where the settings name no limit

/** What the settings ask of a model, as far as it has to be loaded anew for it. */
function wishOf(settings: Settings) {
  const { model, modelsDirectory, device, threads, memoryMB, expertCoverage, activeShare } =
    settings;
  const memoryBytes = Math.round(memoryMB === null ? os.totalmem() * MEMORY_SHARE : memoryMB * 1e6);
  const contextTokens = contextFor(settings);
  const options = { threads, contextTokens, memoryBytes, expertCoverage, activeShare };
  return { model, modelsDirectory, device, options };
}

type Wish = ReturnType<typeof wishOf>;

export class Session {
  readonly cache = new CompletionCache();
  readonly context = new Context();
  readonly trees = new SyntaxTrees();
  readonly debounce = new Debounce();
  /** null until a model is loaded, and when none could be. */
  engine: ModelEngine | null = null;
  tuning: Tuning | null = null;
  private says: readonly string[] = [];
  private wanted = ""; // the wish that is loaded, or being loaded, or failed
  private superseded = new AbortController(); // of its loading
  private loading: Promise<void> = Promise.resolve();
  private showsFailure = false;

  constructor(
    private readonly bundledModel: string,
    private readonly listener: Listener,
  ) {}

  /**
   * Loads what the settings ask for, unless it is loaded, or failed and `again` is not set. Never
   * rejects: the status tells.
   */
  load(settings: Settings, again = false): Promise<void> {
    const wish = wishOf(settings);
    const wanted = JSON.stringify(wish);
    if (wanted === this.wanted && !(again && this.engine === null)) return this.loading;
    this.wanted = wanted;
    this.superseded.abort();
    this.superseded = new AbortController();
    const { signal } = this.superseded;
    this.loading = this.loading.then(() => this.reload(wish, settings, signal));
    return this.loading;
  }

  private async reload(wish: Wish, settings: Settings, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.close();
    const { model, modelsDirectory, options } = wish;
    const name = basename(model ?? this.bundledModel);
    this.listener.status({ kind: "loading", model: name, share: 0 });
    const start = performance.now();
    try {
      const places = {
        bundled: this.bundledModel,
        modelsDirectory: modelsDirectoryIn(modelsDirectory),
      };
      const source = resolveModel(model, places);
      const engine = await ModelEngine.load(source.path, options, (share) =>
        this.listener.status({ kind: "loading", model: name, share }),
      );
      const ms = Math.round(performance.now() - start);
      this.listener.log(`Loaded ${engine.info.name} in ${ms} ms: ${describe(engine)}.`);
      this.listener.log(engine.info.memory.explanation);
      if (!engine.takesFeatures && engine.info.syntaxFeatures.length > 0) {
        this.listener.log(`${name} was made with other syntax features; its gate goes without.`);
      }
      if (source.kind !== "bundled") await this.test(engine, settings, signal);
      this.engine = engine;
      this.ready();
    } catch (error) {
      if (!isAbort(error)) this.failed(error);
    }
  }

  /** Two seconds in which the model shows what it can do here. Rejects if another one is chosen. */
  private async test(engine: ModelEngine, settings: Settings, signal: AbortSignal): Promise<void> {
    try {
      const { speeds, tuning, says } = await selfTest(engine, settings, signal);
      this.tuning = tuning;
      this.debounce.expect(tuning.keystrokeMs);
      this.says = tuning.verdict === "slow" ? [...says, tryInstead(engine, tuning)] : says;
      const [read, decode] = [Math.round(speeds.read), Math.round(speeds.decode)];
      this.listener.log(
        `Self-test: reads ${read} and writes ${decode} tokens/s, so the context is ` +
          `${tuning.contextTokens} tokens and a completion ${tuning.maxTokens} at most. ` +
          this.says.join(" "),
      );
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  private ready(): void {
    if (this.engine === null) return;
    this.showsFailure = false;
    const { name, backend, threads } = this.engine.info;
    const device = `CPU (${backend}, ${threads} ${threads === 1 ? "thread" : "threads"})`;
    this.listener.status({ kind: "ready", model: name, device, says: this.says });
  }

  /** Something went wrong: the status says so, and the log has it whole. */
  failed(error: unknown): void {
    const { code, message, cause } = coded(error);
    this.showsFailure = true;
    const stack = code === "INTERNAL" && cause instanceof Error ? `\n${cause.stack}` : "";
    this.listener.log(`${code}: ${message}${stack}`);
    this.listener.status({ kind: "failed", code, message });
  }

  /** A completion was made: it is logged, and a failure before it is over. */
  succeeded(completion: Completion): void {
    if (completion.source !== "model") return;
    if (this.showsFailure) this.ready();
    const { promptTokens, reusedTokens, generatedTokens } = completion;
    const ms = (value: number | undefined) => (value ?? 0).toFixed(1);
    this.listener.log(
      `${generatedTokens} tokens after ${promptTokens} (${reusedTokens} read before): ` +
        `prepare ${ms(completion.prepareMs)}, go back ${ms(completion.truncateMs)}, ` +
        `read ${ms(completion.readMs)}, decode ${ms(completion.decodeMs)} ms.`,
    );
  }

  close(): void {
    this.engine?.close();
    this.engine = null;
    this.tuning = null;
    this.says = [];
    this.cache.clear();
  }
}

function tryInstead({ info }: ModelEngine, { keystrokeMs }: Tuning): string {
  const ids = quickerThan(keystrokeMs, info.activeParameters);
  return `Try ${ids.join(" or ")}.`;
}

function describe({ info }: ModelEngine): string {
  return (
    `${countText(info.parameters)} parameters, ${countText(info.activeParameters)} a token ` +
    `(${percentText(info.activeExpertShare)} of the experts), ${info.backend}, ` +
    `${info.threads} threads`
  );
}
