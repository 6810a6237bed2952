// Owns the native engine: a model loaded, text to tokens, and one generation at a time under an
// AbortSignal.

import type * as Native from "../native";
import { fimOf } from "./fim";
import type { Prompt, Vocabulary } from "./prompt";
import { syntaxFeatureNames } from "./syntax";

export type { Device, DeviceReport, LoadOptions, ModelInfo, Placement } from "../native";

/** What is known of GPUs without asking a driver: that this build has no part for them; null: it has. */
export function reportWithoutGpuPart(): Native.DeviceReport | null {
  const native: typeof Native = require("../native/index.js");
  return native.gpuLibrary() === null ? native.probeDevices() : null;
}

export interface GenerateOptions {
  readonly maxTokens: number;
  readonly features: readonly number[];
  readonly singleLine: boolean;
  /** Heard with the whole text each time it has grown; what it returns ends the generation. */
  readonly until: (text: string) => string | null;
  /** The tokens that end the text; not given: every special token. */
  readonly ends?: Uint32Array;
}

const CACHED_LINES = 8192; // a 20,000-line file's window holds about 250
const CACHED_TEXTS = 16; // of one prompt: the suffix and snippets, which stay while the prefix grows

/** A map that forgets what was asked for the longest ago once it is full. */
class Kept<Value> {
  private readonly entries = new Map<string, Value>();

  constructor(private readonly capacity: number) {}

  get(key: string, make: () => Value): Value {
    const value = this.entries.get(key) ?? make();
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size > this.capacity) this.entries.delete(this.entries.keys().next().value!);
    return value;
  }
}

export class ModelEngine {
  private readonly counts = new Kept<number>(CACHED_LINES);
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
    return new ModelEngine(await native.Engine.load(path, options, onProgress));
  }

  get info(): Native.ModelInfo {
    return this.engine.info;
  }

  /** Token ids of `text`, none of them special. */
  encode(text: string, atStart: boolean): Uint32Array {
    const { normalization } = this.engine.info;
    return this.engine.encode(
      normalization === null ? text : text.normalize(normalization),
      atStart,
    );
  }

  /** Rejects with AbortError once `signal` fires; the engine hears of it within a token. */
  async generate(
    { tokens, featuresFrom }: Prompt,
    { maxTokens, features, singleLine, until, ends }: GenerateOptions,
    signal: AbortSignal,
  ): Promise<Native.Generated> {
    signal.throwIfAborted();
    let kept: string | null = null;
    const request = {
      tokens,
      featuresFrom,
      features: Uint32Array.from(this.takesFeatures ? features : []),
      maxTokens,
      singleLine,
      ...(ends === undefined ? {} : { ends }),
    };
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
      const generated = await generation.done;
      signal.throwIfAborted();
      return kept === null ? generated : { ...generated, text: kept };
    } finally {
      signal.removeEventListener("abort", cancel);
    }
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
    this.engine.close();
  }
}
