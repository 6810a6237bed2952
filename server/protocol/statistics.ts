// What became of the proposals, and what they cost: counted on this machine, for the user alone.

/** One day's counts, or those of several days together. */
export interface Counts {
  /** Proposals shown: one that the user types along is one. */
  readonly shown: number;
  /** Of those, accepted to the end. */
  readonly accepted: number;
  /** Characters accepted at once: by Tab, by word or by line. */
  readonly acceptedCharacters: number;
  /** Characters that the user typed just as they were proposed. */
  readonly typedAlong: number;
  /** Accepted proposals that a minute later still stood in the file, and how many were looked for. */
  readonly kept: number;
  readonly lookedFor: number;
  /** Proposals held back because the model was not sure. */
  readonly heldBack: number;
  /** Requests that were answered from what was known. */
  readonly known: number;
  readonly modelCalls: number;
  readonly promptTokens: number;
  /** Of the prompts' tokens, those that were read before. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  readonly decodeMs: number;
}

export interface Day extends Counts {
  /** Such as "2026-11-24", in this machine's time. */
  readonly day: string;
  /** From the request to the model's answer, the wait for more keys left out; null: no model call. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
}

export interface Statistics {
  /** The oldest first; days without anything are left out. */
  readonly days: readonly Day[];
  readonly total: Omit<Day, "day">;
}

/** Request to the server, without parameters; its result is Statistics. */
export const statisticsMethod = "ringside/statistics";

/** Request to the server, without parameters: forgets all counts. */
export const clearStatisticsMethod = "ringside/clearStatistics";
