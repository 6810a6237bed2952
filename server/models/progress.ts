// How far a job of several files has come, how fast it goes and how long it will take.

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

/** `bytes` for a reader, in powers of 1000: "987 B", "4.7 GB". */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `seconds` for a reader: "45 s", "3 min", "2 h 5 min". */
export function timeText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
