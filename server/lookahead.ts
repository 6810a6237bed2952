// What comes after a proposal is written while the user looks at it, so that it is there once the
// proposal is accepted.

import { setTimeout as delay } from "node:timers/promises";
import type { Cursor } from "./prompt";

const PAUSE_MS = 250; // the user reads: while keys come, each would make it useless
const MAX_TEXT = 200_000; // characters; the file is parsed as if the proposal stood in it

type Place = Pick<Cursor, "prefix" | "suffix" | "path">;

const isSame = (a: Place, b: Place) =>
  a.path === b.path && a.prefix === b.prefix && a.suffix === b.suffix;

interface UnderWay {
  readonly place: Place;
  readonly done: Promise<void>;
  readonly stop: AbortController;
  /** Ends the pause before it. */
  readonly hurry: () => void;
}

/** At most one is under way. It ends as soon as anything else is asked of the model. */
export class LookAhead {
  private current: UnderWay | null = null;

  /**
   * Runs `write`, which fills the cache for `place`, unless something else comes within a pause. What
   * goes wrong is nobody's concern: the same is asked again where it is wanted.
   */
  start(place: Place, write: (signal: AbortSignal) => Promise<void>): void {
    this.cancel();
    if (place.prefix.length + place.suffix.length > MAX_TEXT) return;
    const stop = new AbortController();
    const { signal } = stop;
    let hurry = () => {};
    const wanted = new Promise<void>((resolve) => {
      hurry = resolve;
    });
    const done = Promise.race([delay(PAUSE_MS, undefined, { signal }), wanted])
      .then(() => (signal.aborted ? undefined : write(signal)))
      .catch(() => {});
    this.current = { place, done, stop, hurry };
  }

  /** Waits for what is under way for `place`, and ends what is for another. Rejects with AbortError. */
  async settle(place: Place, signal: AbortSignal): Promise<void> {
    const { current } = this;
    if (current === null) return;
    if (!isSame(current.place, place)) {
      this.cancel();
      return;
    }
    current.hurry();
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    await Promise.race([current.done, aborted]);
    signal.throwIfAborted();
  }

  cancel(): void {
    this.current?.stop.abort();
    this.current = null;
  }
}
