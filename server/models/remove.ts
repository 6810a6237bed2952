// Deleting what a download has brought.

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { RingsideError } from "../errors";
import { type Choice, folderOf } from "./catalogue";
import { isHeld } from "./lock";

/**
 * Deletes a model's folder in `modelsDirectory`, also of a download that was not ended; resolves to the
 * bytes that are free now. Rejects with MODEL_NOT_FOUND where there is none, and with BAD_REQUEST for
 * the bundled one, while it is downloaded, or where the system does not let it go.
 */
export async function removeModel(choice: Choice, modelsDirectory: string): Promise<number> {
  const { model, variant } = choice;
  if (variant === null) {
    throw new RingsideError("BAD_REQUEST", `${model.name} comes with Ringside and stays with it.`);
  }
  const folder = folderOf(choice, modelsDirectory);
  const files = await readdir(folder, { recursive: true }).catch(() => null);
  const name = `${model.name} (${variant.quantization})`;
  if (files === null) throw new RingsideError("MODEL_NOT_FOUND", `${name} is not in ${folder}.`);
  let bytes = 0;
  for (const file of files) {
    const path = join(folder, file);
    if (file.endsWith(".lock") && (await isHeld(path))) {
      throw new RingsideError("BAD_REQUEST", `${name} is being downloaded now. Stop that first.`);
    }
    const found = await stat(path).catch(() => null);
    if (found?.isFile()) bytes += found.size;
  }
  try {
    await rm(folder, { recursive: true });
  } catch (error) {
    const message =
      `${folder} can't be deleted: ${(error as Error).message}. If a model of it is in use, choose ` +
      "another one first, in every window.";
    throw new RingsideError("BAD_REQUEST", message, { cause: error });
  }
  return bytes;
}
