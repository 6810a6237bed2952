// How far a job of several files has come, how fast it goes and how long it will take.

import { bytesText, timeText } from "../units";

export interface Progress {
  /** "checking": what an earlier try left is read back; "downloading": bytes come in. */
  readonly phase: "checking" | "downloading";
  /** The file under way, as the source names it. */
  readonly file: string;
  /** Of the whole job, with what earlier tries left. */
  readonly bytes: number;
  /** Of the whole job; null: a server did not say. */
  readonly total: number | null;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | null;
}

const WINDOW_MS = 5000; // long enough to be steady, short enough to show a stall
const EVERY_MS = 100; // as often as an eye can follow

/** Counts a job's bytes and tells `onProgress` at most ten times a second, and at each file's end. */
export class Meter {
  private samples: { readonly at: number; readonly received: number }[] = []; // oldest first
  private finished = 0; // bytes of files that are whole
  private received = 0; // bytes that came in by this job, without what was there
  private told = Number.NEGATIVE_INFINITY;

  constructor(
    public total: number | null,
    private readonly onProgress: (progress: Progress) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** `file` has `bytes` now, of which `received` just came in. */
  at(file: string, bytes: number, received: number, phase: Progress["phase"] = "downloading") {
    this.received += received;
    const now = this.now();
    if (now - this.told < EVERY_MS) return;
    this.tell(file, bytes, phase, now);
  }

  /** `file` is whole, of `bytes`. */
  finish(file: string, bytes: number): void {
    this.tell(file, bytes, "downloading", this.now());
    this.finished += bytes;
  }

  private tell(file: string, fileBytes: number, phase: Progress["phase"], now: number): void {
    this.told = now;
    this.samples.push({ at: now, received: this.received });
    while (this.samples.length > 2 && now - this.samples[1]!.at >= WINDOW_MS) this.samples.shift();
    const { at, received } = this.samples[0]!;
    const bytesPerSecond = now > at ? ((this.received - received) / (now - at)) * 1000 : 0;
    const bytes = this.finished + fileBytes;
    const left = this.total === null ? null : Math.max(0, this.total - bytes);
    const secondsLeft = left === null || bytesPerSecond === 0 ? null : left / bytesPerSecond;
    this.onProgress({ phase, file, bytes, total: this.total, bytesPerSecond, secondsLeft });
  }
}

/** What `progress` says, in parts: "1.2 GB of 4.7 GB", "30 MB/s", "2 min left". */
export function progressParts({ phase, bytes, total, bytesPerSecond, secondsLeft }: Progress) {
  if (phase === "checking") return [`checking what is here: ${bytesText(bytes)}`];
  const amount = total === null ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(total)}`;
  const left = secondsLeft === null ? [] : [`${timeText(secondsLeft)} left`];
  return [amount, `${bytesText(bytesPerSecond)}/s`, ...left];
}

/** 0 to 1; null: not known. */
export function shareOf({ bytes, total }: Progress): number | null {
  return total === null || total === 0 ? null : bytes / total;
}
