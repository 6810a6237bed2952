// When to ask an endpoint again: at once after a passing failure, later after several.

import { setTimeout as delay } from "node:timers/promises";
import { EndpointError } from "./failure";

export interface Waits {
  /** Before the second try; each wait after it is up to twice as long, up to `longestMs`. */
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Up to `attempts` tries of one request, as long as an answer is of use. */
export interface Retries extends Waits {
  readonly attempts: number;
  /** After so many milliseconds, no further try is begun: its answer would come too late. */
  readonly lateMs: number;
}

/**
 * The wait after so many failures: twice as long each time, and up to half of it less at random, so
 * that clients that failed together do not come back together.
 */
export function backoffMs(failures: number, { firstMs, longestMs }: Waits, random = Math.random()) {
  const most = Math.min(longestMs, firstMs * 2 ** Math.min(30, failures - 1));
  return Math.round(most * (0.5 + random / 2));
}

/**
 * What `attempt` comes to. Tried again while it fails in a way that passes and `mayRepeat` holds; a
 * server's Retry-After is kept, or nothing is tried. Rejects with the last failure, or with
 * AbortError once `signal` fires.
 */
export async function retrying<Result>(
  attempt: () => Promise<Result>,
  retries: Retries,
  mayRepeat: () => boolean,
  signal: AbortSignal,
): Promise<Result> {
  const start = performance.now();
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof EndpointError) || !error.passes || !mayRepeat()) throw error;
      if (failures >= retries.attempts) throw error;
      const waitMs = Math.max(backoffMs(failures, retries), error.retryAfterMs ?? 0);
      if (performance.now() - start + waitMs > retries.lateMs) throw error;
      await delay(waitMs, undefined, { signal });
    }
  }
}

export interface Pauses extends Waits {
  /** Failures in a row before the first pause. */
  readonly after: number;
}

/** Lets requests through until several in a row have failed; then one at a time, after longer and longer pauses. */
export class CircuitBreaker {
  private failures = 0;
  private pausedUntil = 0;
  private paused: EndpointError | null = null;

  constructor(
    private readonly pauses: Pauses,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Throws the error that began the pause, while there is one. */
  check(): void {
    if (this.paused !== null && this.now() < this.pausedUntil) throw this.paused;
  }

  succeeded(): void {
    this.failures = 0;
    this.paused = null;
  }

  /** Takes a failure in; the error for the user, which says so where a pause begins. */
  failed(error: EndpointError): EndpointError {
    const { after, longestMs } = this.pauses;
    this.failures++;
    const asked = Math.min(longestMs, error.retryAfterMs ?? 0);
    const own = this.failures < after ? 0 : backoffMs(this.failures - after + 1, this.pauses);
    const pauseMs = Math.max(asked, own);
    if (pauseMs === 0) return error;
    this.pausedUntil = this.now() + pauseMs;
    const seconds = Math.ceil(pauseMs / 1000);
    const message = `${error.message} Completions pause for ${seconds} s.`;
    this.paused = new EndpointError(error.code, message, {
      ...(error.status !== null && { status: error.status }),
      passes: error.passes,
      says: error.says,
      cause: error,
    });
    return this.paused;
  }
}
