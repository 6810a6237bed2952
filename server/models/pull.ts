// Brings a model of the catalogue: its files, and the shards that its index lists.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RingsideError } from "../errors";
import { type Choice, folderOf, idOf } from "./catalogue";
import { type Downloaded, type DownloadOptions, download } from "./download";
import { filesOf, loadable, shardsIn } from "./files";
import { completeMark } from "./source";

export interface PullOptions extends Omit<DownloadOptions, "directory"> {
  readonly modelsDirectory: string;
  /** The very folder to put the files in; null: one of the model's own in `modelsDirectory`. */
  readonly folder: string | null;
}

export interface Pulled {
  /** What "ringside.model" can be set to: a folder, or a .gguf file. */
  readonly path: string;
  readonly files: readonly Downloaded[];
}

/** Rejects as `download` does; what came stays, and the next pull goes on from there. */
export async function pull(choice: Choice, options: PullOptions): Promise<Pulled> {
  const { model, variant } = choice;
  if (variant === null) {
    throw new RingsideError(
      "BAD_REQUEST",
      `${model.name} comes with Ringside: it is there already.`,
    );
  }
  const { modelsDirectory, folder, ...rest } = options;
  const directory = folder ?? folderOf(choice, modelsDirectory);
  const files = await download(filesOf(variant), { directory, ...rest });
  if (variant.index === null) return { path: loadable(directory, variant), files };

  const index = join(directory, variant.index);
  const shards = shardsIn(variant, await readFile(index, "utf8"));
  if (shards.length === 0) {
    throw new RingsideError(
      "MODEL_CORRUPT",
      `${index} lists no weights. Delete it and pull ${idOf(choice)} again.`,
    );
  }
  files.push(...(await download(shards, { directory, ...rest })));
  await writeFile(join(directory, completeMark), "");
  return { path: loadable(directory, variant), files };
}
