// Where CUDA's compiler is.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** The path of nvcc, or null: $CUDACXX, the PATH's, or the toolkit's usual place. */
export function findNvcc() {
  const named = process.env.CUDACXX;
  const candidates = [...(named === undefined ? [] : [named]), "nvcc", "/usr/local/cuda/bin/nvcc"];
  const works = (path) => spawnSync(path, ["--version"]).status === 0;
  const found = candidates.find((path) => (path === "nvcc" || existsSync(path)) && works(path));
  return found ?? null;
}
