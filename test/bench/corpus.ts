// Code as people write it, for what is measured on typing: this project's own sources, and those of
// installed packages, read when they are wanted. None of it was trained on: the manifest says so.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { languageIdOfPath } from "../../server/languages";

const root = join(__dirname, "..", "..");

/** Folders of packages whose sources are there to read, not built or minified ones. */
const packages = [
  "ajv/lib",
  "diff/libesm",
  "eventsource-parser/src",
  "fast-check/lib",
  "htmlparser2/src",
  "ignore",
];
const own = ["extension", "server", "native", "kernels", "training"];

export interface SourceFile {
  /** From the project's root, with /. */
  readonly path: string;
  readonly languageId: string;
  readonly text: string;
  readonly from: "own" | "npm";
}

interface Manifest {
  readonly name: string;
  readonly split: string;
}

const MIN_CHARACTERS = 400;
const MAX_CHARACTERS = 60_000;
const MAX_LINE = 400; // characters; longer ones are data, or built

/** All files, in the order of their paths. Throws if one of the packages was trained on. */
export function corpus(): SourceFile[] {
  const manifest = JSON.parse(readFileSync(join(root, "training", "manifest.json"), "utf8"));
  const trained = (manifest.packages ?? manifest).filter(
    ({ split }: Manifest) => split === "train",
  );
  for (const path of packages) {
    const name = path.split("/")[0];
    if (trained.some((each: Manifest) => each.name === name))
      throw new Error(`${name} was trained on.`);
  }
  return [
    ...read(tracked(), "own"),
    ...packages.flatMap((folder) => {
      const path = join(root, "node_modules", folder);
      const names = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
      return read(
        names.map((name) => join(path, name)),
        "npm",
      );
    }),
  ];
}

/** By git: training/work, which it ignores, holds what the model was trained on. */
function tracked(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", ...own], { cwd: root, encoding: "utf8" });
  const names = listed.split("\0").filter((name) => name !== "");
  return names.map((name) => join(root, name)).filter((path) => existsSync(path));
}

function read(paths: readonly string[], from: SourceFile["from"]): SourceFile[] {
  return paths.flatMap((path) => {
    const name = basename(path);
    const languageId = languageIdOfPath(name);
    if (languageId === "plaintext" || /\.d\.[cm]?ts$|\.min\./.test(name)) return [];
    if (!statSync(path).isFile()) return [];
    const text = readFileSync(path, "utf8");
    const fits = text.length >= MIN_CHARACTERS && text.length <= MAX_CHARACTERS;
    if (!fits || text.split("\n").some((line) => line.length > MAX_LINE)) return [];
    return [{ path: relative(root, path).split(sep).join("/"), languageId, text, from }];
  });
}

/** The same numbers in 0..1 for the same seed, everywhere (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
