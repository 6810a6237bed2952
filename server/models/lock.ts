// One holder a file, over processes and over machines that share a disk: a lock file beside it, whose
// holder touches it. A lock that nobody has touched for a minute is what a crash left behind.

import { randomUUID } from "node:crypto";
import { link, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { RingsideError } from "../errors";
import { onDisk } from "./disk";

const BEAT_MS = 10_000;
const STALE_MS = 60_000; // six beats: a machine that sleeps or a slow share may miss some

interface Holder {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
}

/** Runs `work` while no other process can hold the lock of `path`. Throws DOWNLOAD_FAILED if one does. */
export async function withLock<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  const lock = `${path}.lock`;
  const own: Holder = { id: randomUUID(), pid: process.pid, host: hostname() };
  await onDisk(lock, () => acquire(lock, own));
  const beat = setInterval(() => {
    const now = new Date();
    utimes(lock, now, now).catch(() => {}); // the next beat tries again
  }, BEAT_MS);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if ((await holderOf(lock))?.id === own.id) await rm(lock, { force: true });
  }
}

/** Whether a process holds the lock file `lock`. */
export async function isHeld(lock: string): Promise<boolean> {
  return !(await isStale(lock, await holderOf(lock)));
}

async function acquire(lock: string, own: Holder): Promise<void> {
  for (;;) {
    try {
      const file = await open(lock, "wx");
      await file.writeFile(JSON.stringify(own)).finally(() => file.close());
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = await holderOf(lock);
    if (!(await isStale(lock, holder))) {
      const who = holder === null ? "Another process" : `Process ${holder.pid} on ${holder.host}`;
      throw new RingsideError(
        "DOWNLOAD_FAILED",
        `${who} is downloading this file now. Wait for it to end; if none does, delete ${lock}.`,
      );
    }
    await takeAway(lock, holder);
  }
}

/** Removes the stale lock of `holder`, but not one that another process made in the meantime. */
async function takeAway(lock: string, holder: Holder | null): Promise<void> {
  const aside = `${lock}.${randomUUID()}`;
  try {
    await rename(lock, aside);
  } catch {
    return; // another process was faster
  }
  const taken = await holderOf(aside);
  if (taken !== null && taken.id !== holder?.id) await link(aside, lock).catch(() => {});
  await rm(aside, { force: true });
}

async function isStale(lock: string, holder: Holder | null): Promise<boolean> {
  try {
    if (Date.now() - (await stat(lock)).mtimeMs > STALE_MS) return true;
  } catch {
    return true; // released just now
  }
  return holder !== null && holder.host === hostname() && !isRunning(holder.pid);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's
  }
}

/** Null: no lock, or one that is being written. */
async function holderOf(lock: string): Promise<Holder | null> {
  try {
    const { id, pid, host } = JSON.parse(await readFile(lock, "utf8")) as Partial<Holder>;
    if (typeof id !== "string" || typeof pid !== "number" || typeof host !== "string") return null;
    return { id, pid, host };
  } catch {
    return null;
  }
}
