// A file that is coming in: its bytes in NAME.part, what they are part of in NAME.part.json, and
// under NAME nothing until every byte is there, checked and on the disk.

import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { RingsideError } from "../errors";

/** What identifies the file of which a part is: enough to tell whether the rest still fits. */
export interface Identity {
  /** A strong ETag, as the server sent it. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly total: number | null;
  readonly sha256: string | null;
}

const unknown: Identity = { etag: null, lastModified: null, total: null, sha256: null };

/** Invariant: `hash` has taken exactly the first `size` bytes of NAME.part. */
export class PartFile {
  size = 0;
  identity: Identity = unknown;
  private hash = createHash("sha256");

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /**
   * Opens what an earlier try left of `path` and reads it back for the hash, or starts an empty one
   * where that can't be continued: nothing says what it is part of, or another `sha256` is wanted.
   */
  static async open(
    path: string,
    sha256: string | null,
    signal: AbortSignal,
    onChecked: (bytes: number) => void,
  ): Promise<PartFile> {
    const { O_CREAT, O_RDWR } = constants; // neither truncates what is there nor wants it to be
    const part = new PartFile(path, await open(`${path}.part`, O_CREAT | O_RDWR));
    try {
      const identity = await readIdentity(path);
      const continues =
        identity !== null &&
        (sha256 === null || identity.sha256 === null || identity.sha256 === sha256) &&
        identifies(identity);
      if (!continues) await part.restart();
      else {
        part.identity = identity;
        await part.readBack(signal, onChecked);
      }
      return part;
    } catch (error) {
      await part.close();
      throw error;
    }
  }

  private async readBack(signal: AbortSignal, onChecked: (bytes: number) => void): Promise<void> {
    for await (const chunk of createReadStream(`${this.path}.part`, { signal })) {
      this.hash.update(chunk as Buffer);
      this.size += (chunk as Buffer).length;
      onChecked(this.size);
    }
  }

  /** Writes down what the bytes are part of: before any of them, so that none is an orphan. */
  async identify(identity: Identity): Promise<void> {
    this.identity = identity;
    await writeFile(`${this.path}.part.json`, JSON.stringify(identity));
  }

  /** Whether the rest can be asked for, so that a rest of something else would be noticed. */
  get continues(): boolean {
    return this.size > 0 && identifies(this.identity);
  }

  /** Forgets every byte: the rest of the file they began can't be had. */
  async restart(): Promise<void> {
    await this.file.truncate(0);
    this.size = 0;
    this.hash = createHash("sha256");
    this.identity = unknown;
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const length = chunk.length - done;
      done += (await this.file.write(chunk, done, length, this.size + done)).bytesWritten;
    }
    this.hash.update(chunk);
    this.size += chunk.length;
  }

  /**
   * Gives the file its name and returns its SHA-256, or removes it and throws MODEL_CORRUPT if that
   * is not `wanted`. After a crash there is either no file of that name or all of it.
   */
  async finish(wanted: string | null, url: string): Promise<string> {
    const sha256 = this.hash.digest("hex");
    if (wanted !== null && sha256 !== wanted.toLowerCase()) {
      await this.discard();
      throw new RingsideError(
        "MODEL_CORRUPT",
        `What came from ${url} is not the file it should be (its SHA-256 is ${sha256}, not ` +
          `${wanted}). It was removed. Try again, or from another mirror ("ringside.mirror").`,
      );
    }
    await this.file.sync();
    await this.close();
    await rename(`${this.path}.part`, this.path);
    await syncFolder(dirname(this.path));
    await rm(`${this.path}.part.json`, { force: true });
    return sha256;
  }

  async discard(): Promise<void> {
    await this.close();
    await rm(`${this.path}.part`, { force: true });
    await rm(`${this.path}.part.json`, { force: true });
  }

  /** Leaves the bytes for a later try. */
  async close(): Promise<void> {
    await this.file.close().catch(() => {}); // closed already
  }
}

function identifies({ etag, lastModified, sha256 }: Identity): boolean {
  return (etag ?? lastModified ?? sha256) !== null;
}

async function readIdentity(path: string): Promise<Identity | null> {
  try {
    const value = JSON.parse(await readFile(`${path}.part.json`, "utf8")) as Partial<Identity>;
    const text = (entry: unknown) => (typeof entry === "string" ? entry : null);
    return {
      etag: text(value.etag),
      lastModified: text(value.lastModified),
      total: Number.isSafeInteger(value.total) ? value.total! : null,
      sha256: text(value.sha256),
    };
  } catch {
    return null; // none, or torn by a crash
  }
}

/** Makes a rename durable where folders can be synced: not on Windows. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/** How many bytes of `path` an earlier try left. */
export async function partSize(path: string): Promise<number> {
  const file = await open(`${path}.part`, "r").catch(() => null);
  if (file === null) return 0;
  return (await file.stat().finally(() => file.close())).size;
}
