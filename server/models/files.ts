// A model's files, where they come from and where they go.

import { join } from "node:path";

/** A file of a repository: at `{base}/{repository}/resolve/{revision}/{path}`. */
export interface RemoteFile {
  readonly repository: string;
  readonly revision: string;
  /** In the repository and, in the same folders, on disk. */
  readonly path: string;
  /** null: not known before the server says. */
  readonly bytes: number | null;
  /** null: not known; then a SHA-256 that the server names is checked instead. */
  readonly sha256: string | null;
}

/** One form in which a model can be had. */
export interface Variant {
  /** As the field writes it ("Q4_K_M"), or the type of unquantized weights ("BF16"). */
  readonly quantization: string;
  readonly repository: string;
  readonly revision: string;
  /** Of all files. */
  readonly totalBytes: number;
  /** false: about so many. */
  readonly sizeIsExact: boolean;
  readonly files: readonly Pick<RemoteFile, "path" | "bytes" | "sha256">[];
  /** A Hugging Face index of more files, the shards; null: `files` are all. */
  readonly index: string | null;
}

/** The files that are known before anything is downloaded: all but the shards. */
export function filesOf({ repository, revision, files, index }: Variant): RemoteFile[] {
  const shards = index === null ? [] : [{ path: index, bytes: null, sha256: null }];
  return [...files, ...shards].map((file) => ({ repository, revision, ...file }));
}

/** The shards that the index whose content is `text` lists; none if it is no index. */
export function shardsIn({ repository, revision }: Variant, text: string): RemoteFile[] {
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch {
    return [];
  }
  if (typeof map !== "object" || map === null) return [];
  const names = new Set(
    Object.values(map).filter((name): name is string => typeof name === "string"),
  );
  return [...names]
    .sort()
    .map((path) => ({ repository, revision, path, bytes: null, sha256: null }));
}

/** What the engine loads: a GGUF file, the first of its parts, or the folder of a model in shards. */
export function loadable(folder: string, { files, index }: Variant): string {
  return index === null ? join(folder, files[0]!.path) : folder;
}
