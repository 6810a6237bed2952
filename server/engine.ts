// Owns the native engine: a model loaded, text to tokens, and one generation at a time under an
// AbortSignal.

import type * as Native from "../native";
import { canChat, chatPrompt, type Message } from "./chat";
import { RingsideError } from "./errors";
import { fimOf } from "./fim";
import type {
  ChatOptions,
  Generated,
  GeneratedToken,
  GenerateOptions,
  Generator,
} from "./generator";
import { own } from "./lines";
import { memoryHere } from "./memory";
import type { PromptTokens, Vocabulary } from "./prompt";
import { syntaxFeatureNames } from "./syntax";

export type { Device, DeviceReport, LoadOptions, ModelInfo, Placement } from "../native";

/** What is known of GPUs without asking a driver: that this build has no part for them; null: it has. */
export function reportWithoutGpuPart(): Native.DeviceReport | null {
  const native: typeof Native = require("../native/index.js");
  return native.gpuLibrary() === null ? native.probeDevices() : null;
}

const CACHED_LINES = 8192; // a 20,000-line file's window holds about 250
const MAX_PARTS = 16; // tokens that may end within a character, one after the other; what is no UTF-8 never ends
const CACHED_TEXTS = 16; // of one prompt: the suffix and snippets, which stay while the prefix grows

/** A map that forgets what was asked for the longest ago once it is full. */
class Kept<Value> {
  private readonly entries = new Map<string, { readonly key: string; readonly value: Value }>();

  constructor(private readonly capacity: number) {}

  get(key: string, make: () => Value): Value {
    const kept = this.entries.get(key) ?? { key: own(key), value: make() };
    this.entries.delete(kept.key);
    this.entries.set(kept.key, kept);
    if (this.entries.size > this.capacity) this.entries.delete(this.entries.keys().next().value!);
    return kept.value;
  }
}

export class ModelEngine implements Generator {
  private readonly counts = new Kept<number>(CACHED_LINES);
  private closed = false;
  private readonly texts = new Kept<Uint32Array>(CACHED_TEXTS);
  readonly vocabulary: Vocabulary;
  /** Whether the model's syntax gate knows the server's features; if not, it goes without them. */
  readonly takesFeatures: boolean;

  private constructor(private readonly engine: Native.Engine) {
    const { syntaxFeatures, prompting, family, specialTokens } = engine.info;
    this.takesFeatures =
      syntaxFeatures.length === syntaxFeatureNames.length &&
      syntaxFeatureNames.every((name, index) => name === syntaxFeatures[index]);
    this.vocabulary = {
      encode: (text, atStart) =>
        this.texts.get(`${atStart}${text}`, () => this.encode(text, atStart)),
      count: (line) => this.counts.get(line, () => this.encode(line, false).length),
      bos: prompting.bos,
      fim: fimOf({ family, specialTokens, named: prompting }),
    };
  }

  /** Rejects with a coded error if there is no model at `path` or the engine can't run it. */
  static async load(
    path: string,
    options: Native.LoadOptions = {},
    onProgress: (share: number) => void = () => {},
  ): Promise<ModelEngine> {
    const native: typeof Native = require("../native/index.js");
    const here = { machineBytes: memoryHere(), ...options };
    return new ModelEngine(await native.Engine.load(path, here, onProgress));
  }

  get info(): Native.ModelInfo {
    return this.engine.info;
  }

  get name(): string {
    return this.info.name;
  }

  get contextTokens(): number {
    return this.info.contextTokens;
  }

  readonly isShared = false;

  get canChat(): boolean {
    return canChat(this.info);
  }

  /** Token ids of `text`, none of them special. */
  encode(text: string, atStart: boolean): Uint32Array {
    const { normalization } = this.engine.info;
    return this.engine.encode(
      normalization === null ? text : text.normalize(normalization),
      atStart,
    );
  }

  /** Rejects with AbortError once `signal` fires, within a token, or once the engine is closed. */
  async generate(
    { tokens, featuresFrom, parts = [] }: PromptTokens,
    { until, features, ...options }: GenerateOptions,
    signal: AbortSignal,
  ): Promise<Generated> {
    const taken = Uint32Array.from(this.takesFeatures ? features : []);
    const suffix = parts.find(({ kind }) => kind === "suffix");
    const behind = suffix === undefined ? {} : { behindFrom: suffix.start, behindTo: suffix.end };
    const request = { tokens, featuresFrom, features: taken, ...behind, ...options };
    return this.run(request, until, signal);
  }

  async chat(
    messages: readonly Message[],
    { onText, ...options }: ChatOptions,
    signal: AbortSignal,
  ): Promise<Generated> {
    const tokens = await chatPrompt(this.info, messages, (text, atStart) =>
      this.encode(text, atStart),
    );
    const room = this.contextTokens - tokens.length;
    if (room < 1) {
      const sizes = `${tokens.length} tokens, and the context holds ${this.contextTokens}`;
      const text = `The instruction with its code takes ${sizes}. Choose less code, or a longer context.`;
      throw new RingsideError("BAD_REQUEST", text);
    }
    const maxTokens = Math.min(options.maxTokens, room);
    const { ends } = this.info.prompting;
    const heard = (text: string) => {
      onText(text);
      return null;
    };
    const request = { tokens, ...options, maxTokens, ...(ends.length > 0 ? { ends } : {}) };
    return this.run(request, heard, signal);
  }

  private async run(
    request: Native.GenerateRequest,
    until: (text: string) => string | null,
    signal: AbortSignal,
  ): Promise<Generated> {
    signal.throwIfAborted();
    let kept: string | null = null;
    let whole = "";
    const generation = this.engine.generate(request, (grown) => {
      if (kept !== null) return;
      whole += grown;
      kept = until(whole);
      if (kept !== null) generation.cancel();
    });
    const cancel = () => generation.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const { tokens, logProbabilities, ...generated } = await generation.done;
      signal.throwIfAborted();
      if (this.closed) throw new DOMException("Another model is loaded.", "AbortError");
      return {
        ...generated,
        text: kept ?? generated.text,
        tokens: this.wholeTokens(tokens, logProbabilities),
        generatedTokens: tokens.length,
        promptTokens: request.tokens.length,
      };
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  /** What was generated; tokens that have parts of the same characters are one here, so that their texts are the text. */
  private wholeTokens(ids: Uint32Array, logProbabilities: Float32Array): GeneratedToken[] {
    const tokens: GeneratedToken[] = [];
    let from = 0;
    let logProbability = 0;
    ids.forEach((_, i) => {
      logProbability += logProbabilities[i]!;
      const text = this.engine.decode(ids.subarray(from, i + 1));
      const goesOn = text.endsWith("\uFFFD") && i - from < MAX_PARTS && i + 1 < ids.length;
      if (goesOn) return;
      tokens.push({ text, logProbability });
      from = i + 1;
      logProbability = 0;
    });
    return tokens;
  }

  /** Natural log probabilities, for evaluation. */
  score(tokens: Uint32Array, featuresFrom?: number, features?: readonly number[]) {
    return this.engine.score(
      tokens,
      featuresFrom,
      features === undefined ? undefined : Uint32Array.from(features),
    );
  }

  reset(): void {
    this.engine.reset();
  }

  close(): void {
    this.closed = true;
    this.engine.close();
  }
}
