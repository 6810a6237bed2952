// What one server keeps between requests: the loaded engine, the cache, what has been learnt of time.

import { basename } from "node:path";
import { CompletionCache } from "./cache";
import type { Completion } from "./completion";
import { Context } from "./context";
import { Debounce } from "./debounce";
import { ModelEngine } from "./engine";
import { coded } from "./errors";
import type { Settings, Status } from "./protocol";
import { SyntaxTrees } from "./trees";

export interface Listener {
  status(status: Status): void;
  log(message: string): void;
}

type LoadKey = Pick<Settings, "model" | "device" | "threads">;

export class Session {
  readonly cache = new CompletionCache();
  readonly context = new Context();
  readonly trees = new SyntaxTrees();
  readonly debounce = new Debounce();
  /** null until a model is loaded, and when none could be. */
  engine: ModelEngine | null = null;
  private loadedFor: string | null = null;
  private loading: Promise<void> = Promise.resolve();
  private showsFailure = false;

  constructor(
    private readonly bundledModel: string,
    private readonly listener: Listener,
  ) {}

  /** Loads what the settings ask for, unless it is loaded already. Never rejects: the status tells. */
  load({ model, device, threads }: LoadKey): Promise<void> {
    this.loading = this.loading.then(() => this.reload({ model, device, threads }));
    return this.loading;
  }

  private async reload({ model, device, threads }: LoadKey): Promise<void> {
    const key = JSON.stringify([model, device, threads]);
    if (this.loadedFor === key) return;
    this.loadedFor = key;
    this.close();
    const folder = model ?? this.bundledModel;
    const name = basename(folder);
    this.listener.status({ kind: "loading", model: name, share: 0 });
    const start = performance.now();
    try {
      const engine = await ModelEngine.load(folder, { threads }, (share) =>
        this.listener.status({ kind: "loading", model: name, share }),
      );
      if (!engine.takesFeatures) {
        this.listener.log(`${name} was made with other syntax features; its gate goes without.`);
      }
      this.engine = engine;
      const ms = Math.round(performance.now() - start);
      this.listener.log(`Loaded ${engine.info.name} in ${ms} ms: ${describe(engine)}.`);
      this.ready();
    } catch (error) {
      this.failed(error);
    }
  }

  private ready(): void {
    if (this.engine === null) return;
    this.showsFailure = false;
    const { name, backend, threads } = this.engine.info;
    const device = `CPU (${backend}, ${threads} ${threads === 1 ? "thread" : "threads"})`;
    this.listener.status({ kind: "ready", model: name, device });
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
    this.cache.clear();
  }
}

function describe({ info }: ModelEngine): string {
  const millions = (count: number) => `${(count / 1e6).toFixed(1)} M`;
  const share = (info.activeExpertShare * 100).toFixed(1);
  return (
    `${millions(info.parameters)} parameters, ${millions(info.activeParameters)} a token ` +
    `(${share} % of the experts), ${info.backend}, ${info.threads} threads`
  );
}
