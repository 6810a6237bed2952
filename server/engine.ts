// Owns the native engine: a model folder loaded, text to tokens, and one generation at a time under
// an AbortSignal.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type * as Native from "../native";
import { RingsideError } from "./errors";
import type { Prompt, Vocabulary } from "./prompt";
import { syntaxFeatureNames } from "./syntax";

/** The specials that the prompt is made of; a model without them can't fill in the middle. */
const specials = {
  fileSep: "<|file_sep|>",
  fimPrefix: "<|fim_prefix|>",
  fimSuffix: "<|fim_suffix|>",
  fimMiddle: "<|fim_middle|>",
} as const;

export interface GenerateOptions {
  readonly maxTokens: number;
  readonly features: readonly number[];
  readonly singleLine: boolean;
  /** Heard with the whole text each time it has grown; what it returns ends the generation. */
  readonly until: (text: string) => string | null;
}

const CACHED_LINES = 8192; // a 20,000-line file's window holds about 250

export class ModelEngine {
  private readonly lines = new Map<string, Uint32Array>(); // the oldest first
  readonly vocabulary: Vocabulary;
  /** Whether the model's syntax gate knows the server's features; if not, it goes without them. */
  readonly takesFeatures: boolean;

  private constructor(private readonly engine: Native.Engine) {
    const id = (text: string) => {
      const token = engine.info.specialTokens[text];
      if (token !== undefined) return token;
      throw new RingsideError(
        "MODEL_UNSUPPORTED",
        `The model ${engine.info.name} has no token ${text}, so it can't complete in the middle ` +
          `of a file. Set "ringside.model" to a model that can, or to null for the bundled one.`,
      );
    };
    const { syntaxFeatures } = engine.info;
    this.takesFeatures =
      syntaxFeatures.length === syntaxFeatureNames.length &&
      syntaxFeatureNames.every((name, index) => name === syntaxFeatures[index]);
    this.vocabulary = {
      encode: (text) => this.encode(text),
      fileSep: id(specials.fileSep),
      fimPrefix: id(specials.fimPrefix),
      fimSuffix: id(specials.fimSuffix),
      fimMiddle: id(specials.fimMiddle),
    };
  }

  /** Rejects with a coded error if there is no model at `folder` or the engine can't run it. */
  static async load(
    folder: string,
    options: Native.LoadOptions = {},
    onProgress: (share: number) => void = () => {},
  ): Promise<ModelEngine> {
    if (!existsSync(join(folder, "config.json"))) {
      throw new RingsideError(
        "MODEL_NOT_FOUND",
        `No config.json in ${folder}. Set "ringside.model" to a model's folder, or to null for ` +
          `the bundled model.`,
      );
    }
    const native: typeof Native = require("../native/index.js");
    return new ModelEngine(await native.Engine.load(folder, options, onProgress));
  }

  get info(): Native.ModelInfo {
    return this.engine.info;
  }

  /** Token ids of one line; lines repeat from keystroke to keystroke, so they are kept. */
  private encode(line: string): Uint32Array {
    const known = this.lines.get(line);
    if (known !== undefined) return known;
    const tokens = this.engine.encode(line);
    this.lines.set(line, tokens);
    if (this.lines.size > CACHED_LINES) this.lines.delete(this.lines.keys().next().value!);
    return tokens;
  }

  /** Rejects with AbortError once `signal` fires; the engine hears of it within a token. */
  async generate(
    { tokens, featuresFrom }: Prompt,
    { maxTokens, features, singleLine, until }: GenerateOptions,
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
    };
    const generation = this.engine.generate(request, (text) => {
      if (kept !== null) return;
      kept = until(text);
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
