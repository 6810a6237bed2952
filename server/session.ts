// Which model answers: loaded, tried, replaced when the settings ask for another, and spoken of in the status.

import { basename } from "node:path";
import { type Completion, contextFor, type Proposal, type Request } from "./completion";
import { Completions, type CompletionsListener } from "./completions";
import { Devices } from "./devices";
import { ModelEngine } from "./engine";
import { coded, isAbort } from "./errors";
import type { Generator } from "./generator";
import { memoryHere } from "./memory";
import { type Here, quickOnes } from "./models/advice";
import { modelsDirectoryIn, resolveModel } from "./models/source";
import { type Choice, choose, chosen, deviceRows, deviceText, loadPlaced } from "./placement";
import type { Settings, Status } from "./protocol";
import { environmentKey, type KeyOf } from "./remote/key";
import { endpointBase, openEndpoint } from "./remote/open";
import { selfTest } from "./selftest";
import type { ShownAt } from "./shown";
import { LINE_TOKENS, type Tune, type Tuning } from "./tuning";
import { countText, percentText } from "./units";

export interface Listener extends CompletionsListener {
  status(status: Status): void;
}

/** What a session has from outside: the engine and the graphics driver. */
export interface Machine {
  readonly load: typeof ModelEngine.load;
  readonly devices: Devices;
}

const thisMachine = (): Machine => ({ load: ModelEngine.load, devices: new Devices() });

const MEMORY_SHARE = 0.75; // of what there is, where the settings name no limit

/** What the settings ask of a model, as far as it has to be loaded anew for it. */
function wishOf(settings: Settings) {
  const { model, modelsDirectory, device, threads, memoryMB, gpuMemoryMB } = settings;
  const { expertCoverage, activeShare, endpoint, endpointModel } = settings;
  const gpuMemoryBytes = device === "cpu" ? 0 : (gpuMemoryMB ?? 0) * 1e6;
  const memoryBytes = Math.round(memoryMB === null ? memoryHere() * MEMORY_SHARE : memoryMB * 1e6);
  const contextTokens = contextFor(settings);
  const options = { threads, contextTokens, memoryBytes, expertCoverage, activeShare };
  return { model, modelsDirectory, device, gpuMemoryBytes, options, endpoint, endpointModel };
}

export class Session {
  readonly completions: Completions;
  /** null until a model is loaded, and when none could be. */
  engine: Generator | null = null;
  private tune: Tune | null = null; // by what was measured of the model; null: nothing was
  private activeParameters: number | null = null; // of a model of this machine
  private device = ""; // for the status, as `says`
  private says: readonly string[] = [];
  private warning: string | null = null; // that stands before them
  private told: unknown = null; // the failure that the status shows
  private avoided: string | null = null; // a model that ended the server
  private wanted = ""; // the wish that is loaded, or being loaded, or failed
  private settings: Settings | null = null; // that it was made from
  private lost: string | null = null; // why this process uses no GPU any more
  private superseded = new AbortController(); // of its loading
  private loading: Promise<void> = Promise.resolve();
  private showsFailure = false;

  constructor(
    private readonly bundledModel: string,
    private readonly listener: Listener,
    private readonly machine: Machine = thisMachine(),
    private readonly keyOf: KeyOf = environmentKey,
  ) {
    this.completions = new Completions(listener);
  }

  /**
   * What is proposed for `request`, which an editor makes at `at`. Rejects with AbortError once `signal`
   * fires, or with what went wrong.
   */
  async complete(
    request: Request,
    at: Pick<ShownAt, "uri" | "offset">,
    settings: Settings,
    signal: AbortSignal,
  ): Promise<readonly Proposal[]> {
    const { engine } = this;
    if (engine === null) return [];
    const asked = { engine, tuning: this.tune?.(settings) ?? null, settings };
    const completion = await this.completions.complete(asked, request, at, signal);
    this.succeeded(completion);
    return completion.proposals;
  }

  /**
   * Loads what the settings ask for, unless it is loaded, or failed and `again` is not set; or they turn
   * completions off, and nothing was loaded yet. Never rejects: the status tells.
   */
  load(settings: Settings, again = false): Promise<void> {
    if (!settings.enabled && this.wanted === "") {
      this.listener.status({ kind: "off" });
      return this.loading;
    }
    const wanted = JSON.stringify(wishOf(settings));
    if (wanted === this.wanted && !(again && this.engine === null)) return this.loading;
    this.wanted = wanted;
    return this.loadNext(settings);
  }

  /** The same for who asks by a command, with completions on or off. */
  loadForCommand(settings: Settings): Promise<void> {
    return this.load({ ...settings, enabled: true });
  }

  /** Loads as soon as what is being loaded is let go. */
  private loadNext(settings: Settings): Promise<void> {
    this.settings = settings;
    this.superseded.abort();
    this.superseded = new AbortController();
    const { signal } = this.superseded;
    this.loading = this.loading.then(() => this.reload(settings, signal));
    return this.loading;
  }

  /** What is known of this machine, to choose a model by. */
  here(settings: Settings): Here {
    const { activeParameters } = this;
    const { tokensPerSecond } = this.completions.meter;
    const measured =
      tokensPerSecond === null || activeParameters === null
        ? null
        : { keystrokeMs: (1000 * LINE_TOKENS) / tokensPerSecond, activeParameters };
    const { memoryBytes } = wishOf(settings).options;
    return { memoryBytes, measured, contextTokens: settings.contextTokens };
  }

  /** Why the last completion of the document at `uri` was what it was, as Markdown. */
  why(uri: string): string {
    return this.completions.why(uri, this.engine?.name ?? "No model");
  }

  /** `model` has ended the server: the bundled one is loaded in its place, until another is chosen. */
  avoid(model: string | null): void {
    this.avoided = model;
  }

  private async reload(asked: Settings, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const isAvoided = asked.model !== null && asked.model === this.avoided;
    const settings = isAvoided ? { ...asked, model: null } : asked;
    this.warning = isAvoided
      ? `${basename(asked.model!)} ended the server while it was loaded, likely for want of memory. ` +
        "Choose another model, or restart the server to try it again."
      : null;
    this.close();
    if (settings.endpoint !== null) return this.reach(settings, settings.endpoint, signal);
    const { model, modelsDirectory, device, gpuMemoryBytes, options } = wishOf(settings);
    const name = basename(model ?? this.bundledModel);
    this.listener.status({ kind: "loading", model: name, share: 0 });
    try {
      const places = {
        bundled: this.bundledModel,
        modelsDirectory: modelsDirectoryIn(modelsDirectory),
      };
      const source = resolveModel(model, places);
      const choice = await this.choose(device, signal);
      this.listener.log(choice.why);
      const onProgress = (share: number) =>
        this.listener.status({ kind: "loading", model: name, share });
      const start = performance.now();
      const loading = { path: source.path, options, choice, gpuMemoryBytes, onProgress };
      const { engine, says, gpuFailed } = await loadPlaced(loading, this.machine.load);
      if (signal.aborted) return engine.close(); // another one has been chosen
      this.says = says;
      if (gpuFailed) this.reportAgain(says);
      const ms = Math.round(performance.now() - start);
      this.listener.log(`Loaded ${engine.info.name} in ${ms} ms: ${describe(engine)}.`);
      this.listener.log(engine.info.placement.explanation);
      this.listener.log(engine.info.memory.explanation);
      if (!engine.takesFeatures && engine.info.syntaxFeatures.length > 0) {
        this.listener.log(`${name} was made with other syntax features; its gate goes without.`);
      }
      if (source.kind !== "bundled") await this.test(engine, settings, signal);
      this.engine = engine;
      this.activeParameters = engine.info.activeParameters;
      this.device = deviceText(engine.info);
      this.ready();
    } catch (error) {
      if (isAbort(error)) return;
      if (this.loses(error)) await this.reload(settings, signal);
      else if (!signal.aborted) this.failed(error);
    }
  }

  /** Uses the endpoint in place of a model of this machine, once it answers. */
  private async reach(settings: Settings, endpoint: string, signal: AbortSignal): Promise<void> {
    const { contextTokens, maxTokens, endpointModel: model } = settings;
    this.listener.status({ kind: "loading", model: model ?? endpoint, share: 0 });
    try {
      // The editor may have to ask the user to unlock its keys: another model does not wait for that.
      const superseded = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
      const key = await Promise.race([this.keyOf(endpointBase(endpoint).origin), superseded]);
      const contextLimit = contextFor(settings);
      const wishes = { endpoint, model, key, contextTokens, contextLimit, maxTokens };
      const listener = {
        log: (message: string) => this.listener.log(message),
        failed: (error: unknown) => {
          if (!signal.aborted) this.failed(error);
        },
        changed: (says: readonly string[]) => {
          if (signal.aborted) return; // another model is in its place by now
          this.says = says;
          this.ready();
        },
      };
      const { engine, tuning, tune, says } = await openEndpoint(wishes, listener, signal);
      this.says = says;
      this.tune = tune;
      this.completions.debounce.expect(tuning.keystrokeMs);
      this.device = engine.host;
      this.engine = engine;
      this.ready();
    } catch (error) {
      if (!isAbort(error)) this.failed(error);
    }
  }

  /** The user has stored another key for `origin`, or none any more. */
  keyChanged(origin: string): void {
    const endpoint = this.settings?.endpoint ?? null;
    if (this.settings === null || endpoint === null || !URL.canParse(endpoint)) return;
    if (new URL(endpoint).origin === origin) void this.loadNext(this.settings);
  }

  private async choose(device: Settings["device"], signal: AbortSignal): Promise<Choice> {
    if (this.lost !== null && device !== "cpu") return { gpu: null, why: this.lost, matters: true };
    return chosen(device, this.machine.devices, signal);
  }

  /** The GPU did not take the model: what the driver says of it now is for the log, and for the next load. */
  private reportAgain(says: readonly string[]): void {
    this.listener.log(says.join(" "));
    void this.machine.devices.reportAgain().then((report) => {
      const now = ["now", choose("auto", report).why] as const;
      for (const [name, text] of [...deviceRows(report), now])
        this.listener.log(`${name}: ${text}`);
    });
  }

  /**
   * Whether `error` is the loss of the GPU, which happens once: what CUDA lost stays lost until the
   * process ends, so models are loaded on the CPU from then on.
   */
  private loses(error: unknown): boolean {
    const { code, message } = coded(error);
    if (code !== "DEVICE_LOST" || this.lost !== null) return false;
    this.lost =
      `The GPU was lost, so the model runs on the CPU. ${message} Restart the server to try the ` +
      "GPU again.";
    return true;
  }

  /** Two seconds in which the model shows what it can do here. Rejects if another one is chosen. */
  private async test(engine: ModelEngine, settings: Settings, signal: AbortSignal): Promise<void> {
    try {
      const { speeds, tuning, tune, says } = await selfTest(engine, settings, signal);
      this.tune = tune;
      this.completions.debounce.expect(tuning.keystrokeMs);
      this.completions.meter.tokensPerSecond = speeds.decode;
      const speed = tuning.verdict === "slow" ? [...says, tryInstead(engine, tuning)] : says;
      this.says = [...speed, ...this.says];
      const [read, decode] = [Math.round(speeds.read), Math.round(speeds.decode)];
      this.listener.log(
        `Self-test: reads ${read} and writes ${decode} tokens/s, so the context is ` +
          `${tuning.contextTokens} tokens and a completion ${tuning.maxTokens} at most. ` +
          speed.join(" "),
      );
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  private ready(): void {
    if (this.engine === null) return;
    this.showsFailure = false;
    this.told = null;
    const { engine, device, warning } = this;
    const says = warning === null ? this.says : [warning, ...this.says];
    const { name: model, canChat } = engine;
    this.listener.status({ kind: "ready", model, device, says, canChat });
  }

  /** A completion of `engine` failed. Where the GPU was lost, the model is loaded on the CPU. */
  completionFailed(error: unknown, engine: Generator | null): void {
    if (engine !== this.engine && coded(error).code === "DEVICE_LOST") return; // replaced already
    if (this.settings !== null && this.loses(error)) {
      this.listener.log(`DEVICE_LOST: ${this.lost}`);
      this.close(); // at once: other completions that it fails say nothing new
      void this.loadNext(this.settings);
    } else this.failed(error);
  }

  /** Something went wrong: the status says so, and the log has it whole. */
  failed(error: unknown): void {
    if (error === this.told) return; // an endpoint that pauses fails each completion with this one
    this.told = error;
    const { code, message, cause } = coded(error);
    this.showsFailure = true;
    const stack = code === "INTERNAL" && cause instanceof Error ? `\n${cause.stack}` : "";
    this.listener.log(`${code}: ${message}${stack}`);
    this.listener.status({ kind: "failed", code, message });
  }

  /** A completion was made: it is logged, and a failure before it is over. */
  succeeded({ calls }: Completion): void {
    if (calls.length === 0) return;
    if (this.showsFailure) this.ready();
    const ms = (value: number) => value.toFixed(1);
    for (const { generated, prepareMs } of calls) {
      const { promptTokens, reusedTokens, generatedTokens } = generated;
      this.listener.log(
        `${generatedTokens} tokens after ${promptTokens} (${reusedTokens} read before): ` +
          `prepare ${ms(prepareMs)}, go back ${ms(generated.truncateMs)}, ` +
          `read ${ms(generated.readMs)}, decode ${ms(generated.decodeMs)} ms.`,
      );
    }
  }

  close(): void {
    this.completions.forgetModel();
    this.engine?.close();
    this.engine = null;
    this.activeParameters = null;
    this.tune = null;
    this.says = [];
  }
}

function tryInstead({ info }: ModelEngine, { keystrokeMs }: Tuning): string {
  const ids = quickOnes({ keystrokeMs, activeParameters: info.activeParameters });
  return `Try ${ids.join(" or ")}.`;
}

function describe({ info }: ModelEngine): string {
  return (
    `${countText(info.parameters)} parameters, ${countText(info.activeParameters)} a token ` +
    `(${percentText(info.activeExpertShare)} of the experts), ${info.backend}, ` +
    `${info.threads} threads`
  );
}
