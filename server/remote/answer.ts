// An answer as it comes in: what of it is kept, and when it is enough.

import { confidenceOf } from "../confidence";
import type { Generated, GeneratedToken } from "../generator";
import { alignedTokens } from "./alignment";
import type { Delta, Usage } from "./reply";

export interface Wanted {
  /** Texts that end the answer and are no part of it, whether or not the server knows them. */
  readonly stops: readonly string[];
  readonly singleLine: boolean;
  /** Heard with the whole text each time it has grown; what it returns ends the answer. */
  readonly until: (text: string) => string | null;
  /** Ends, "unsure", once the first line is less likely than this, a natural logarithm; not given: never. */
  readonly minLogProbability?: number;
}

export class Answer {
  private readonly tokens: GeneratedToken[] = [];
  private readonly start = performance.now();
  private firstMs: number | null = null;
  private lastMs = 0;
  private deltas = 0;
  private raw = "";
  private kept: string | null = null;
  private stop: Generated["stop"] = "end";
  private usage: Usage | null = null;

  constructor(private readonly wanted: Wanted) {}

  /** Whether anything has come. */
  get begun(): boolean {
    return this.firstMs !== null;
  }

  /** Takes in what came; whether that is enough. */
  hear({ text, tokens, finish, usage }: Delta): boolean {
    this.lastMs = performance.now() - this.start;
    this.firstMs ??= this.lastMs;
    this.usage = usage ?? this.usage;
    this.tokens.push(...tokens);
    if (finish === "length") this.stop = "maxTokens";
    if (text === "") return false;
    this.deltas++;
    this.raw += text;
    const enough = this.enough();
    if (enough === null) return false;
    [this.kept, this.stop] = enough;
    return true;
  }

  /** What to keep and why it ends there, or null while it should go on. */
  private enough(): readonly [string, Generated["stop"]] | null {
    const { stops, singleLine, until } = this.wanted;
    const at = stops.map((stop) => this.raw.indexOf(stop)).filter((index) => index >= 0);
    if (at.length > 0) return [this.raw.slice(0, Math.min(...at)), "end"];
    const shown = this.raw.slice(0, this.raw.length - begunStop(this.raw, stops));
    const line = singleLine ? /^\s*\S[^\r\n]*(?=[\r\n])/.exec(shown) : null;
    if (line !== null) return [line[0], "line"];
    const kept = until(shown);
    if (kept !== null) return [kept, "cancelled"];
    return this.isUnsure() ? [shown, "unsure"] : null;
  }

  private isUnsure(): boolean {
    const { minLogProbability } = this.wanted;
    if (minLogProbability === undefined) return false;
    const confidence = confidenceOf(alignedTokens(this.tokens, this.raw), 0, this.raw.length);
    return confidence < Math.exp(minLogProbability);
  }

  /** What came of it; `promptTokens` is a guess, for a server that does not count. */
  generated(promptTokens: number): Generated {
    const { usage } = this;
    const text = this.kept ?? this.raw;
    const tokens = alignedTokens(this.tokens, text);
    const prompt = usage?.promptTokens || promptTokens;
    const reused = usage?.cachedTokens ?? 0;
    const readMs = this.firstMs ?? performance.now() - this.start;
    return {
      text,
      stop: this.stop,
      tokens,
      generatedTokens: Math.max(this.tokens.length, usage?.generatedTokens || this.deltas),
      promptTokens: prompt,
      reusedTokens: reused,
      readTokens: prompt - reused,
      truncateMs: 0,
      readMs,
      decodeMs: Math.max(0, this.lastMs - readMs),
    };
  }
}

/** How many characters at the end of `text` may be the start of one of `stops`. */
function begunStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
