// What completes code and follows instructions: a model in this process, or one behind an endpoint.

import type { Message } from "./chat";
import type { PromptTokens, Vocabulary } from "./prompt";

export interface GenerateOptions {
  readonly maxTokens: number;
  /** Indices into the syntax features that hold at the cursor. */
  readonly features: readonly number[];
  readonly singleLine: boolean;
  /** Heard with the whole text each time it has grown; what it returns ends the generation. */
  readonly until: (text: string) => string | null;
  /** Ends, "unsure", once the first line with text is less likely than this, a natural logarithm. */
  readonly minLogProbability?: number;
  /** The tokens that end the text; not given: every special token. */
  readonly ends?: Uint32Array;
  /** 0, the default, always takes the likeliest token. */
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** Whether an engine on this machine may guess ahead: the same text, sooner. Default: where that gains. */
  readonly draft?: boolean;
  /** Whether what stood in the text before is mixed in, by a model of this machine that is made for it. Default true. */
  readonly copy?: boolean;
}

export interface ChatOptions {
  readonly maxTokens: number;
  /** Heard with the whole answer each time it has grown. */
  readonly onText: (text: string) => void;
  readonly temperature?: number;
  readonly seed?: number;
}

/** A token, or several where a character is split among them. */
export interface GeneratedToken {
  readonly text: string;
  /** Natural, of the token given all before it. */
  readonly logProbability: number;
}

export interface Generated {
  readonly text: string;
  /** Why it ended. */
  readonly stop: "end" | "maxTokens" | "line" | "cancelled" | "contextFull" | "unsure";
  /** What was generated, beyond the text kept and with the token that ended it; empty: the endpoint does not say. */
  readonly tokens: readonly GeneratedToken[];
  /** At least as many as `tokens`. */
  readonly generatedTokens: number;
  readonly promptTokens: number;
  /** Of the prompt, what was read before. */
  readonly reusedTokens: number;
  readonly readTokens: number;
  /** Milliseconds of going back to what is reused, of reading, and of writing. */
  readonly truncateMs: number;
  readonly readMs: number;
  readonly decodeMs: number;
}

/** One generation at a time: the next one waits for the one before, so that should be cancelled. */
export interface Generator {
  /** For the status and the log. */
  readonly name: string;
  /** The most that it reads and writes. */
  readonly contextTokens: number;
  readonly vocabulary: Vocabulary;
  /** Whether others ask the same one: then nothing is written that may not be wanted. */
  readonly isShared: boolean;
  /** Whether it follows instructions. */
  readonly canChat: boolean;
  /** Rejects with AbortError once `signal` fires, within a token or a batch; else with a RingsideError. */
  generate(prompt: PromptTokens, options: GenerateOptions, signal: AbortSignal): Promise<Generated>;
  /** The answer to a conversation. Rejects as generate does, and with MODEL_UNSUPPORTED if it can't chat. */
  chat(messages: readonly Message[], options: ChatOptions, signal: AbortSignal): Promise<Generated>;
  close(): void;
}
