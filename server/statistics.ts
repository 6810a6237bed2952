// Counts of what became of the proposals, a row a day, kept in a file of the editor's storage.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Counts, Day, Statistics as Report } from "./protocol";

const MAX_DAYS = 366;
const SAVE_MS = 10_000; // at most so often: typing must not wait for a disk
const STEP = 1.15; // from one bucket of times to the next: 7 % is as exact as a quantile has to be

type Amounts = { -readonly [Key in keyof Counts]: number };

interface Row extends Amounts {
  /** How many model calls took STEP^i to STEP^(i+1) milliseconds, by i. */
  times: Record<string, number>;
}

type Rows = Map<string, Row>; // by day

const zero: Counts = {
  shown: 0,
  accepted: 0,
  acceptedCharacters: 0,
  typedAlong: 0,
  kept: 0,
  lookedFor: 0,
  heldBack: 0,
  known: 0,
  modelCalls: 0,
  promptTokens: 0,
  reusedTokens: 0,
  generatedTokens: 0,
  decodeMs: 0,
};
const keys = Object.keys(zero) as (keyof Counts)[];

export class Statistics {
  private rows: Rows; // the oldest day first
  private unsaved: Rows = new Map(); // of them, what the file does not have yet
  private timer: NodeJS.Timeout | null = null;

  /**
   * `file`: where they are kept, also by other windows of the editor; null: nowhere. A file that can't
   * be read is set aside, never lost; `onProblem` hears why.
   */
  constructor(
    private readonly file: string | null = null,
    private readonly onProblem: (message: string) => void = () => {},
    private readonly now: () => Date = () => new Date(),
  ) {
    this.rows = this.load() ?? new Map();
  }

  add(amounts: Partial<Counts>): void {
    this.count({ ...amounts, times: {} });
  }

  /** A model call took `ms` from the request, the wait left out. */
  took(ms: number): void {
    const bucket = Math.floor(Math.log(Math.max(1, ms)) / Math.log(STEP));
    this.count({ times: { [bucket]: 1 } });
  }

  report(): Report {
    const all = emptyRow();
    for (const row of this.rows.values()) addTo(all, row);
    const days = [...this.rows].map(([day, row]): Day => ({ day, ...summary(row) }));
    return { days, total: summary(all) };
  }

  /** Forgets all counts, those in the file too. */
  clear(): void {
    this.rows = new Map();
    this.unsaved = new Map();
    if (this.file !== null) this.write(this.file, this.rows);
  }

  /** Adds what is not saved yet to what the file has by now. */
  save(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.file === null || this.unsaved.size === 0) return;
    const rows = this.load();
    if (rows === null) return; // what is unsaved stays, for the next time
    for (const [day, row] of this.unsaved) addTo(rowOf(rows, day), row);
    if (!this.write(this.file, rows)) return;
    this.rows = rows;
    this.unsaved = new Map();
  }

  private count(amounts: Partial<Row>): void {
    const now = this.now();
    const two = (value: number) => String(value).padStart(2, "0");
    const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
    for (const rows of [this.rows, this.unsaved]) addTo(rowOf(rows, day), amounts);
    if (this.file === null || this.timer !== null) return;
    this.timer = setTimeout(() => this.save(), SAVE_MS);
    this.timer.unref();
  }

  private write(file: string, rows: Rows): boolean {
    try {
      mkdirSync(dirname(file), { recursive: true });
      const temporary = `${file}.${process.pid}`;
      writeFileSync(temporary, JSON.stringify(Object.fromEntries(rows)));
      renameSync(temporary, file); // at once, so that no reader sees half of it
      return true;
    } catch (error) {
      this.onProblem(`The statistics could not be saved: ${(error as Error).message}`);
      return false;
    }
  }

  /** null: there is a file that can't be read now, as when another program holds it. */
  private load(): Rows | null {
    const { file } = this;
    if (file === null || !existsSync(file)) return new Map();
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      this.onProblem(`The statistics in ${file} can't be read: ${(error as Error).message}.`);
      return null;
    }
    try {
      return rowsIn(JSON.parse(text));
    } catch (error) {
      const aside = `${file}.damaged`;
      try {
        renameSync(file, aside);
      } catch {} // then it is written over: it can be neither read nor moved
      const why = (error as Error).message;
      this.onProblem(`The statistics in ${file} can't be read (${why}); they are in ${aside} now.`);
      return new Map();
    }
  }
}

/** The row of `day`, made if there is none; the oldest ones go when there are too many. */
function rowOf(rows: Rows, day: string): Row {
  let row = rows.get(day);
  if (row === undefined) {
    row = emptyRow();
    rows.set(day, row);
    for (const oldest of rows.keys()) {
      if (rows.size <= MAX_DAYS) break;
      rows.delete(oldest);
    }
  }
  return row;
}

function addTo(row: Row, more: Partial<Row>): void {
  for (const key of keys) row[key] += more[key] ?? 0;
  for (const [bucket, count] of Object.entries(more.times ?? {})) {
    row.times[bucket] = (row.times[bucket] ?? 0) + count;
  }
}

function emptyRow(): Row {
  return { ...zero, times: {} };
}

/** Throws an Error that says what is wrong. */
function rowsIn(value: unknown): Rows {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("it is no table of days");
  }
  const count = (amount: unknown) => (Number.isFinite(amount) ? Math.max(0, Number(amount)) : 0);
  const days = Object.entries(value).filter(([day]) => /^\d{4}-\d\d-\d\d$/.test(day));
  return new Map(
    days
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([day, given]) => {
        const row = emptyRow();
        for (const key of keys) row[key] = count(given?.[key]);
        for (const [bucket, times] of Object.entries(given?.times ?? {})) {
          if (/^\d{1,3}$/.test(bucket)) row.times[bucket] = count(times);
        }
        return [day, row] as const;
      }),
  );
}

function summary({ times, ...counts }: Row): Omit<Day, "day"> {
  return { ...counts, p50Ms: quantile(times, 0.5), p95Ms: quantile(times, 0.95) };
}

/** In milliseconds, the middle of its bucket; null: there are none. */
function quantile(times: Row["times"], share: number): number | null {
  const buckets = Object.entries(times).sort(([a], [b]) => Number(a) - Number(b));
  const all = buckets.reduce((sum, [, count]) => sum + count, 0);
  let left = share * all;
  for (const [bucket, count] of buckets) {
    left -= count;
    if (left <= 0 && all > 0) return Math.round(STEP ** (Number(bucket) + 0.5) * 10) / 10;
  }
  return null;
}
