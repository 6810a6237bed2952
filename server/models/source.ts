// Where the model is that the settings mean. Looks at the disk alone: nothing is downloaded here.

import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RingsideError } from "../errors";
import { type Choice, choose, folderOf, idOf } from "./catalogue";
import { loadable } from "./files";
import { bytesText } from "../units";

export interface Places {
  /** The folder of the model that comes with Ringside. */
  readonly bundled: string;
  readonly modelsDirectory: string;
}

export interface ModelSource {
  readonly kind: "bundled" | "local" | "catalogue";
  /** A folder, or a .gguf file. */
  readonly path: string;
}

/**
 * The model that "ringside.model" means: null for the one that comes with Ringside, a path from the
 * root, a path from ~, a file: URI, or an id of the catalogue. Throws MODEL_NOT_FOUND where it isn't,
 * which says how to get it.
 */
export function resolveModel(
  setting: string | null,
  { bundled, modelsDirectory }: Places,
): ModelSource {
  if (setting === null) return { kind: "bundled", path: bundled };
  const path = pathIn(setting);
  if (path !== null) return { kind: "local", path: checked(path) };
  const choice = choose(setting);
  if (choice.variant === null) return { kind: "bundled", path: bundled };
  return { kind: "catalogue", path: downloaded(choice, modelsDirectory) };
}

/** The path that `setting` is, or null if it looks like a name. */
function pathIn(setting: string): string | null {
  if (/^file:/i.test(setting)) {
    try {
      return fileURLToPath(setting);
    } catch (error) {
      const text = `"${setting}" names no file of this machine: ${(error as Error).message}.`;
      throw new RingsideError("MODEL_NOT_FOUND", `${text} Set "ringside.model" to a path.`);
    }
  }
  if (setting === "~" || /^~[\\/]/.test(setting)) return join(homedir(), setting.slice(1));
  if (isAbsolute(setting)) return setting;
  if (!/[\\/]|\.gguf$/i.test(setting)) return null;
  throw new RingsideError(
    "MODEL_NOT_FOUND",
    `"${setting}" is a path from nowhere. Set "ringside.model" to a path from the root or from ~.`,
  );
}

function checked(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new RingsideError(
      "MODEL_NOT_FOUND",
      `There is nothing at ${path}. Set "ringside.model" to a model's folder or .gguf file, to a ` +
        "model of `ringside models`, or to null for the one that comes with Ringside.",
    );
  }
  if (found.isDirectory() || /\.gguf$/i.test(path)) return path;
  throw new RingsideError(
    "MODEL_UNSUPPORTED",
    `${path} is neither a folder nor a .gguf file. Set "ringside.model" to one of these.`,
  );
}

/** What brings a model here: VS Code's users have no command line of Ringside's. */
function downloads(id: string): string {
  return `"Ringside: Download a Model..." in VS Code, or \`ringside pull ${id}\`,`;
}

/** What the engine loads of a model that is there, or MODEL_NOT_FOUND with what gets it. */
function downloaded(choice: Choice, modelsDirectory: string): string {
  const variant = choice.variant!;
  const folder = folderOf(choice, modelsDirectory);
  if (isThere(choice, modelsDirectory)) return loadable(folder, variant);
  const began = existsSync(folder);
  const id = idOf(choice);
  throw new RingsideError(
    "MODEL_NOT_FOUND",
    `${choice.model.name} (${variant.quantization}) ` +
      (began
        ? `is not whole yet. ${downloads(id)} goes on where its download stopped.`
        : `is not downloaded. ${downloads(id)} does so: ${bytesText(variant.totalBytes)}.`),
  );
}

/** The mark of a model in shards that is whole: only its index says which files there have to be. */
export const completeMark = ".complete";

/** Whether every file of the model is there. */
export function isThere(choice: Choice, modelsDirectory: string): boolean {
  const { variant } = choice;
  if (variant === null) return true;
  const folder = folderOf(choice, modelsDirectory);
  const names = variant.files.map(({ path }) => path);
  if (variant.index !== null) names.push(variant.index, completeMark);
  return names.every((name) => existsSync(join(folder, name)));
}

/** Where models are kept: "ringside.modelsDirectory", or for null the platform's place for data. */
export function modelsDirectoryIn(
  setting: string | null,
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): string {
  if (setting !== null) {
    const path = pathIn(setting);
    if (path !== null) return path;
    throw new RingsideError(
      "BAD_REQUEST",
      `"${setting}" is no path. Set "ringside.modelsDirectory" to one from the root or from ~.`,
    );
  }
  const home = homedir();
  if (platform === "win32") {
    return join(env.LOCALAPPDATA ?? join(home, "AppData", "Local"), "ringside", "models");
  }
  if (platform === "darwin") {
    return join(home, "Library", "Application Support", "ringside", "models");
  }
  const { XDG_DATA_HOME: data } = env;
  const root = data !== undefined && isAbsolute(data) ? data : join(home, ".local", "share");
  return join(root, "ringside", "models"); // the XDG specification: a relative path is not valid
}
