/** The whole boundary between the server (TypeScript) and the engine (C++). Typed by hand. */

/** What can be said of a model once it is loaded. */
export interface ModelInfo {
  readonly name: string;
  /** A row of native/families.cpp, such as "qwen2". */
  readonly family: string;
  readonly format: "gguf" | "safetensors";
  readonly parameters: number;
  /** Parameters that run for one token at most: everything but the experts not taken. */
  readonly activeParameters: number;
  /** The share of the experts' parameters that runs for one token, in 0..1. */
  readonly activeExpertShare: number;
  /** Bytes of the file's tensors by their type, as the file spells it. */
  readonly bytesByType: Readonly<Record<string, number>>;
  readonly memory: MemoryPlan;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  /** The longest context that the model was made for. */
  readonly trainedContextTokens: number;
  /** "reference", "avx2", "avxvnni", "avx512", "neon"; "cuda" where at least one layer is on a GPU. */
  readonly backend: string;
  /** Where the layers run. */
  readonly placement: Placement;
  readonly threads: number;
  /** What text must be normalized to before it is encoded: the caller's part. */
  readonly normalization: "NFC" | null;
  readonly prompting: Prompting;
  /** Names of the syntax gate's features, in the order of their indices; empty: the model has no syntax gate. */
  readonly syntaxFeatures: readonly string[];
  /** Ids of the special tokens by their text, e.g. "<|fim_prefix|>". Text never encodes to these. */
  readonly specialTokens: Readonly<Record<string, number>>;
}

/** Which layers a GPU runs, chosen by the memory that was free when the model was loaded. */
export interface Placement {
  /** The GPU's name; null: all runs on the CPU. */
  readonly gpu: string | null;
  readonly layers: number;
  /** Of `layers`, the last so many run on the GPU. */
  readonly gpuLayers: number;
  /** Bytes taken of the GPU's memory. */
  readonly gpuBytes: number;
  /** A sentence for the log: what was chosen, and why. */
  readonly explanation: string;
}

/** How the memory allowed is used, in bytes. */
export interface MemoryPlan {
  /** 0: no limit. */
  readonly budgetBytes: number;
  /** Of the weights that every token needs. */
  readonly weightBytes: number;
  /** Of all routed experts. */
  readonly expertBytes: number;
  /** Of routed experts that may be resident at once; 0: all. */
  readonly expertCacheBytes: number;
  /** Of keys, values, states and checkpoints of one sequence at `contextTokens`. */
  readonly sequenceBytes: number;
  /** Of the activations of one batch. */
  readonly scratchBytes: number;
  /** Tokens read at once. */
  readonly maxBatch: number;
  /** A sentence for the log: what was chosen, and why. */
  readonly explanation: string;
}

/** What the model's files say of how it is prompted. Token ids; null where they say nothing. */
export interface Prompting {
  /** Stands before every prompt. */
  readonly bos: number | null;
  /** What a chat template calls bos_token, whether or not prompts start with it. */
  readonly bosToken: number | null;
  /** Tokens that end a text or a turn. */
  readonly ends: Uint32Array;
  readonly fimPrefix: number | null;
  readonly fimSuffix: number | null;
  readonly fimMiddle: number | null;
  readonly fimRepository: number | null;
  readonly fimSeparator: number | null;
  /** Jinja; "" for none. */
  readonly chatTemplate: string;
}

export interface LoadOptions {
  /** Default "auto": the best instruction set this processor has. What is not on a GPU runs on it. */
  readonly backend?: "auto" | "reference" | "avx2" | "avxvnni" | "avx512" | "neon";
  /**
   * The index, in `probeDevices().devices`, of the GPU that runs as many layers as its free memory holds. Default null:
   * none. Rejects with "DEVICE_LOST" if it can't be used at all; never turns to the CPU silently.
   */
  readonly gpu?: number | null;
  /** Of the GPU's memory, at most so many bytes. Default 0: what is free, less a reserve. */
  readonly gpuMemoryBytes?: number;
  /** Default 0: as many as there are physical cores. */
  readonly threads?: number;
  /** Default: what the model was made for, which is also the most. */
  readonly contextTokens?: number;
  /** For weights, context and scratch together. Default 0: no limit. Too little rejects with "OUT_OF_MEMORY". */
  readonly memoryBytes?: number;
  /** A token's experts run until this share of its router's weight is covered, in (0, 1]. Default 1: all of them. */
  readonly expertCoverage?: number;
  /** At most this share of the parameters runs for a token, in (0, 1]; one expert a layer always does. Default 1. */
  readonly activeShare?: number;
  /** How much memory there is: a longer context is refused where `memoryBytes` does not shorten it. Default: the computer's. */
  readonly machineBytes?: number;
  /**
   * How keys and values of what was read are kept. "f16" takes half the memory of "f32". Default: "f16" where
   * attention is full, "f32" where it is ring attention.
   */
  readonly kvCache?: "f16" | "f32";
  /** Lightning attention's decay of layer i is that of layer i - shift: 0, the default, or 1. */
  readonly slopeLayerShift?: number;
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
  /**
   * Whether tokens are guessed from what stands in the prompt and read several at once where that may gain time; the
   * text is the same up to rounding. Default: for models of 64 MB and more. A GPU that runs the whole model does without.
   */
  readonly draft?: boolean;
  /**
   * Whether what follows in the prompt wherever its end stands before is mixed into what the model says. Default true;
   * only models that bring how much of it (copy_shares in config.json) do so.
   */
  readonly copy?: boolean;
  /** Of `tokens`, those from `behindFrom` up to `behindTo` stand behind the cursor: what is copied ends there. Default: none. */
  readonly behindFrom?: number;
  readonly behindTo?: number;
  /** Ends once the first line with text is less likely than this, a natural logarithm. Default: never. */
  readonly minLogProbability?: number;
  /** The only tokens that end the text; other special tokens then give their text. Default: every special token ends it. */
  readonly ends?: Uint32Array;
}

export interface Generated {
  /** The text, whole characters only. */
  readonly text: string;
  /** Why it ended. */
  readonly stop: "end" | "maxTokens" | "line" | "cancelled" | "contextFull" | "unsure";
  /** Generated ones, with the one that ended the text. */
  readonly tokens: Uint32Array;
  /** Natural log probability of each of `tokens` under the model. */
  readonly logProbabilities: Float32Array;
  /** Prompt tokens that the sequence held already. */
  readonly reusedTokens: number;
  /** Prompt tokens that were read in this call. */
  readonly readTokens: number;
  /** Tokens that were guessed ahead, and of them those that the model then wrote. */
  readonly guessedTokens: number;
  readonly rightGuesses: number;
  /** Going back to the reused tokens. */
  readonly truncateMs: number;
  readonly readMs: number;
  readonly decodeMs: number;
}

/** A generation under way. */
export interface Generation {
  /** Rejects with an Error that has a `code` ("BAD_REQUEST", "OUT_OF_MEMORY", "DEVICE_LOST"); a cancel resolves with stop "cancelled". */
  readonly done: Promise<Generated>;
  /** Heard within one token or one batch of 256. What was read stays read. */
  cancel(): void;
}

/** A loaded model with one sequence of what it has read. Calls queue; the last one asked is not special: cancel the older. */
export class Engine {
  private constructor();
  /**
   * Maps the model: a .gguf file (of a split one, any part), or a folder with config.json, tokenizer.json and safetensors.
   * Rejects with an Error whose `code` is "MODEL_NOT_FOUND", "MODEL_CORRUPT", "MODEL_UNSUPPORTED",
   * "OUT_OF_MEMORY" or "DEVICE_LOST".
   */
  static load(
    path: string,
    options?: LoadOptions,
    onProgress?: (share: number) => void,
  ): Promise<Engine>;
  readonly info: ModelInfo;
  /**
   * Token ids of `text`, normalized as `info.normalization` asks. Never special tokens, whatever the text says.
   * `atStart` false: the text goes on from other text, and gets no space that some tokenizers put at a start.
   */
  encode(text: string, atStart?: boolean): Uint32Array;
  /** The text of `tokens`, special tokens left out; incomplete UTF-8 becomes U+FFFD. */
  decode(tokens: Uint32Array): string;
  /** `onText` hears what the text has grown by, in whole characters, on the caller's thread. */
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

export interface Device {
  readonly index: number;
  /** As the driver says it, such as "NVIDIA GeForce RTX 4070". */
  readonly name: string;
  /** The compute capability, such as "8.9". */
  readonly computeCapability: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Why Ringside can't use it; null: it can. */
  readonly problem: string | null;
}

export interface DeviceReport {
  /** The file of the CUDA part that answered; null: this build has none. */
  readonly library: string | null;
  /** CUDA versions, such as "13.0"; null: not known. */
  readonly runtimeVersion: string | null;
  readonly driverVersion: string | null;
  readonly devices: readonly Device[];
  /** Why there is none, in a sentence that says what to do; null: there is one. */
  readonly problem: string | null;
}

/** The file of the CUDA part that `probeDevices()` would ask, or null where this build has none. Asks no driver. */
export function gpuLibrary(): string | null;

/**
 * The GPUs here. Asks the graphics driver, and a broken driver can end or hang the process that does: call it in a process
 * of its own. Never throws.
 */
export function probeDevices(): DeviceReport;

/** Instruction sets that this build has and this processor runs, the best first. */
export function availableBackends(): string[];
