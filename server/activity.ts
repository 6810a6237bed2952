// How the last completions went, told at most once a second.

import type { Completion } from "./completion";
import type { Activity } from "./protocol";

const EVERY_MS = 1000; // a status item that changes with each key only distracts
const SMOOTHING = 0.3; // weight of the newest completion
const MIN_TOKENS = 4; // fewer say nothing of a speed

export class ActivityMeter {
  /** Of the model's writing; null: not measured. */
  tokensPerSecond: number | null = null;
  private promptTokens = 0;
  private reusedTokens = 0;
  private toldAt = -Infinity;

  constructor(
    private readonly tell: (activity: Activity) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  completed({ calls, ms }: Completion): void {
    for (const { generated } of calls) {
      this.promptTokens += generated.promptTokens;
      this.reusedTokens += generated.reusedTokens;
      const { generatedTokens, decodeMs } = generated;
      if (generatedTokens < MIN_TOKENS || decodeMs <= 0) continue;
      // The first token comes with the reading.
      const speed = ((generatedTokens - 1) / decodeMs) * 1000;
      const before = this.tokensPerSecond ?? speed;
      this.tokensPerSecond = before + SMOOTHING * (speed - before);
    }
    if (this.tokensPerSecond === null || this.now() - this.toldAt < EVERY_MS) return;
    this.toldAt = this.now();
    this.tell({
      tokensPerSecond: Math.round(this.tokensPerSecond),
      reusedShare: this.reusedTokens / Math.max(1, this.promptTokens),
      lastMs: ms,
    });
  }

  /** Another model was loaded. */
  reset(): void {
    this.tokensPerSecond = null;
    this.promptTokens = 0;
    this.reusedTokens = 0;
    this.toldAt = -Infinity;
  }
}
