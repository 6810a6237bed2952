// What can go wrong on the disk, as coded errors, and whether there is room.

import { statfs } from "node:fs/promises";
import { RingsideError } from "../errors";
import { bytesText } from "../units";

const SPARE_BYTES = 64_000_000; // left on the disk for everything else

/** Runs `work` on the disk at `path`; what goes wrong there is no matter of the network. */
export async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (typeof code !== "string" || syscall === undefined) throw error; // not of the disk
    const full = code === "ENOSPC" || code === "EDQUOT";
    throw new RingsideError(
      full ? "DISK_FULL" : "DOWNLOAD_FAILED",
      full
        ? `The disk is full: ${path} can't grow. What came is kept; make room and try again.`
        : `Can't write ${path}: ${message}. Set "ringside.modelsDirectory" to another folder.`,
      { cause: error },
    );
  }
}

/** Throws DISK_FULL unless `bytes` more fit on the disk of `directory`. */
export async function ensureSpace(
  directory: string,
  bytes: number,
  freeBytes: (directory: string) => Promise<number> = freeOn,
): Promise<void> {
  if (bytes === 0) return;
  const free = await onDisk(directory, () => freeBytes(directory));
  if (free >= bytes + SPARE_BYTES) return;
  throw new RingsideError(
    "DISK_FULL",
    `${bytesText(bytes)} are still to come, and the disk of ${directory} has ${bytesText(free)} ` +
      `free. Make room, or set "ringside.modelsDirectory" to a folder on another disk.`,
  );
}

async function freeOn(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
