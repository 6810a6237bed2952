// What of the files on disk is worth reading: source code that a person wrote.

import { basename } from "node:path";
import { languageIdOfPath, languages } from "../languages";

/** Bytes; what is larger is generated, or data. */
export const MAX_FILE_BYTES = 500_000;

const MAX_LINE = 5000; // characters; what is longer is minified
const MAX_MEAN_LINE = 200; // characters, the same
const LOOKED_AT = 8192; // characters in which a binary file shows a NUL

/** Folders that hold what was installed or built, also where no .gitignore says so. */
const skippedFolders = new Set([
  ...["node_modules", "bower_components", "jspm_packages", "site-packages", "__pycache__"],
  ...["venv", "virtualenv", "Pods", "DerivedData", "cmake-build-debug", "cmake-build-release"],
]);

export function isSkippedFolder(name: string): boolean {
  return name.startsWith(".") || skippedFolders.has(name);
}

const projectFiles = ["tsconfig.json", "jsconfig.json", "go.mod"]; // that say how sources are found

/** Globs of the files whose text matters: sources, and what says how they are found. */
export const watchedFiles: readonly string[] = [
  `**/*{${languages.flatMap(({ extensions }) => extensions).join(",")}}`,
  `**/{.gitignore,${projectFiles.join(",")}}`,
];

/** Whether a change of the file at `path` may change how imports are found: a build writes others by thousands. */
export function mayChangeProjects(path: string): boolean {
  return isSourcePath(path) || projectFiles.includes(basename(path));
}

export function isSourcePath(path: string): boolean {
  return languageIdOfPath(path) !== "plaintext";
}

/** VS Code's language id of a file. A .h is C++ where its text says so. */
export function languageIdOf(path: string, text: string): string {
  const languageId = languageIdOfPath(path);
  const isPlusPlus =
    languageId === "c" && /^\s*(?:class|namespace|template|using)\b|::/m.test(text);
  return isPlusPlus ? "cpp" : languageId;
}

/** Whether a person wrote `text`, to be read by people. */
export function isReadable(text: string): boolean {
  if (text.slice(0, LOOKED_AT).includes("\0")) return false;
  let lines = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", start)) {
    if (at - start > MAX_LINE) return false;
    lines++;
    start = at + 1;
  }
  return text.length - start <= MAX_LINE && text.length / lines <= MAX_MEAN_LINE;
}
