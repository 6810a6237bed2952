// How long to wait for the next key before asking the model: pure arithmetic on measured times.

const SMOOTHING = 0.2; // weight of the newest measurement
const SHARE = 0.5; // of the model's own time: waiting as long as half of it wastes little either way
const MIN_MS = 5;
const MAX_MS = 300; // beyond this, a pause in typing feels unanswered
const FIRST_GUESS_MS = 60; // until the model has answered once

/** Learns how long the model takes, and waits less where it is quick. */
export class Debounce {
  private modelMs = FIRST_GUESS_MS;

  /** Another model will answer: how long the last one took says nothing of it. */
  reset(): void {
    this.modelMs = FIRST_GUESS_MS;
  }

  /** A model call will take about this long: until the first is measured. */
  expect(ms: number): void {
    this.modelMs = ms;
  }

  /** A model call took this long, the wait left out. */
  measured(ms: number): void {
    if (Number.isFinite(ms) && ms >= 0) this.modelMs += SMOOTHING * (ms - this.modelMs);
  }

  /** `setting`: the user's own choice in milliseconds, or null to adapt. */
  waitMs(setting: number | null): number {
    if (setting !== null) return Math.max(0, setting);
    return Math.min(MAX_MS, Math.max(MIN_MS, Math.round(this.modelMs * SHARE)));
  }
}
