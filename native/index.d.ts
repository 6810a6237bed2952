/** The whole boundary between the server (TypeScript) and the engine (C++). Typed by hand. */

/** What can be said of a model once it is loaded. */
export interface ModelInfo {
  readonly name: string;
  readonly family: string;
  readonly parameters: number;
  /** Parameters that run for one token: everything but the experts not taken. */
  readonly activeParameters: number;
  /** The share of the experts' parameters that runs for one token, in 0..1. */
  readonly activeExpertShare: number;
  readonly weightBytes: number;
  /** Bytes of keys, values, states and checkpoints of one sequence at `contextTokens`. */
  readonly sequenceBytes: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  /** "reference", "avx2", "avx512", "neon". */
  readonly backend: string;
  readonly threads: number;
  /** Names of the syntax gate's features, in the order of their indices; empty: the model has no syntax gate. */
  readonly syntaxFeatures: readonly string[];
  /** Ids of the special tokens by their text, e.g. "<|fim_prefix|>". Text never encodes to these. */
  readonly specialTokens: Readonly<Record<string, number>>;
}

export interface LoadOptions {
  /** Default "auto": the best instruction set this processor has. */
  readonly backend?: "auto" | "reference" | "avx2" | "avx512" | "neon";
  /** Default 0: as many as there are physical cores. */
  readonly threads?: number;
  /** Default: what the model was made for. */
  readonly contextTokens?: number;
}

export interface GenerateRequest {
  /** The whole prompt; what the sequence holds of it already is not read again. */
  readonly tokens: Uint32Array;
  /** Where the middle starts: tokens from here on, and all generated ones, take `features`. Default: all tokens none, generated ones too. */
  readonly featuresFrom?: number;
  /** Indices into `syntaxFeatures` that hold at the cursor. */
  readonly features?: Uint32Array;
  readonly maxTokens: number;
  /** 0 is greedy, the default. */
  readonly temperature?: number;
  /** Default 1. */
  readonly topP?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Ends before the first line break once some other text is there. */
  readonly singleLine?: boolean;
}

export interface Generated {
  /** The text, whole characters only. */
  readonly text: string;
  /** Why it ended. */
  readonly stop: "end" | "maxTokens" | "line" | "cancelled" | "contextFull";
  readonly generatedTokens: number;
  /** Prompt tokens that the sequence held already. */
  readonly reusedTokens: number;
  /** Prompt tokens that were read in this call. */
  readonly readTokens: number;
  /** Going back to the reused tokens. */
  readonly truncateMs: number;
  readonly readMs: number;
  readonly decodeMs: number;
  /** Mean natural log probability of the generated tokens under the model. */
  readonly meanLogProbability: number;
}

/** A generation under way. */
export interface Generation {
  /** Rejects with an Error that has a `code` ("BAD_REQUEST", "OUT_OF_MEMORY"); a cancel resolves with stop "cancelled". */
  readonly done: Promise<Generated>;
  /** Heard within one token or one batch of 256. What was read stays read. */
  cancel(): void;
}

/** A loaded model with one sequence of what it has read. Calls queue; the last one asked is not special: cancel the older. */
export class Engine {
  private constructor();
  /**
   * Maps the model folder (config.json, tokenizer.json, model.safetensors).
   * Rejects with an Error whose `code` is "MODEL_NOT_FOUND", "MODEL_CORRUPT", "MODEL_UNSUPPORTED" or "OUT_OF_MEMORY".
   */
  static load(
    folder: string,
    options?: LoadOptions,
    onProgress?: (share: number) => void,
  ): Promise<Engine>;
  readonly info: ModelInfo;
  /** Token ids of `text`. Never special tokens, whatever the text says. */
  encode(text: string): Uint32Array;
  /** The text of `tokens`, special tokens left out; incomplete UTF-8 becomes U+FFFD. */
  decode(tokens: Uint32Array): string;
  /** `onText` hears the text as it grows, in whole characters, on the caller's thread. */
  generate(request: GenerateRequest, onText?: (text: string) => void): Generation;
  /**
   * Natural log probability of each token after the first given those before it, read afresh (the sequence is cleared).
   * `featuresFrom` and `features` as in generate. For evaluation.
   */
  score(tokens: Uint32Array, featuresFrom?: number, features?: Uint32Array): Promise<Float32Array>;
  /** Forgets what was read. */
  reset(): void;
  /** Frees the model; later calls throw. */
  close(): void;
}

/** Instruction sets that this build has and this processor runs, the best first. */
export function availableBackends(): string[];
