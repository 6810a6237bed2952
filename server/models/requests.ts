// What the editor asks about models: which there are, and to bring one that the user chose by name.

import { coded, isAbort } from "../errors";
import type {
  PullParams,
  PullProgress,
  PullResult,
  RemoveParams,
  RemoveResult,
  Settings,
} from "../protocol";
import { bytesText } from "../units";
import { choose } from "./catalogue";
import { progressParts, shareOf } from "./progress";
import { readProxySettings } from "./proxy";
import { removeModel } from "./remove";
import { modelsDirectoryIn } from "./source";

/** Never rejects. What came by a pull that is cancelled or fails stays for the next one. */
export async function pullModel(
  { id, http }: PullParams,
  { modelsDirectory, mirror }: Pick<Settings, "modelsDirectory" | "mirror">,
  onProgress: (progress: PullProgress) => void,
  signal: AbortSignal,
): Promise<PullResult> {
  try {
    const { pull } = await import("./pull.js"); // only who downloads loads what it takes
    await pull(choose(id), {
      modelsDirectory: modelsDirectoryIn(modelsDirectory),
      folder: null,
      ...(mirror !== null && { base: mirror }),
      proxy: readProxySettings(http),
      signal,
      onProgress: (progress) =>
        onProgress({ id, share: shareOf(progress), message: progressParts(progress).join(", ") }),
    });
    return { kind: "here" };
  } catch (error) {
    if (isAbort(error)) return { kind: "cancelled" };
    const { code, message } = coded(error);
    return { kind: "failed", code, message };
  }
}

/** Never rejects. */
export async function deleteModel(
  { id }: RemoveParams,
  { modelsDirectory }: Pick<Settings, "modelsDirectory">,
): Promise<RemoveResult> {
  try {
    const bytes = await removeModel(choose(id), modelsDirectoryIn(modelsDirectory));
    return { kind: "gone", says: `${bytesText(bytes)} are free now.` };
  } catch (error) {
    const { code, message } = coded(error);
    return { kind: "failed", code, message };
  }
}
