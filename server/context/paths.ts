// Where a document lies, by its URI: of any scheme, and of any platform.

import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * The path in a URI of any scheme, or a plain path, with / between its parts and without a drive's
 * colon. A notebook's cell has its notebook's path. For patterns, not for opening the file.
 */
export function pathOf(uri: string): string {
  // A scheme has two letters at least: a single one is a drive.
  const [, authority, path] = /^[a-z][\w+.-]+:(?:\/\/([^/?#]*))?([^?#]*)/i.exec(uri) ?? [];
  const whole = path === undefined ? uri : decoded(path);
  const share = authority !== undefined && /^file:/i.test(uri) ? `${authority}/` : "";
  return `${share}${whole}`
    .replace(/[\\/]+/g, "/")
    .replace(/^\//, "")
    .replace(/^([a-z]):(?=\/|$)/i, (_, drive: string) => drive.toLowerCase());
}

function decoded(path: string): string {
  return path.replace(/(%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch {
      return bytes; // no UTF-8: as it stands
    }
  });
}

/** The file of a file: URI on this machine; null for all others. */
export function fileOf(uri: string): string | null {
  if (!/^file:/i.test(uri)) return null;
  try {
    const path = resolve(fileURLToPath(uri)); // some editors end a folder's URI with a /
    return process.platform === "win32" ? path.replace(/^[A-Z]:/, (d) => d.toLowerCase()) : path;
  } catch {
    return null; // a host's name where this platform has none, or another platform's path
  }
}

/**
 * The file of this machine that a URI of any scheme lies in, as a notebook's cell does in its notebook;
 * null where it names none.
 */
export function fileBehind(uri: string): string | null {
  const [, path] = /^[a-z][\w+.-]+:(?:\/\/[^/?#]*)?(\/[^?#]*)/i.exec(uri) ?? [];
  return fileOf(uri) ?? (path === undefined ? null : fileOf(`file://${path}`));
}

/** What tells documents apart: the path of a file, or the URI of what is none, or a part of one as a notebook's program is. */
export function keyOf(uri: string): string {
  return (uri.includes("#") ? null : fileOf(uri)) ?? uri;
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}

/** The folders that hold the file or folder at `path`, the nearest first. */
export function* foldersOver(path: string): Iterable<string> {
  for (let at = path; at !== dirname(at); ) {
    at = dirname(at);
    yield at;
  }
}

/** `path` from `folder` on, with / between its parts; null if it is not inside. */
export function inside(folder: string, path: string): string | null {
  const from = relative(folder, path);
  if (from === "" || from === ".." || from.startsWith(`..${sep}`) || /^([a-z]:|\\)/i.test(from)) {
    return null;
  }
  return sep === "/" ? from : from.replaceAll(sep, "/");
}
