// Where an import's file may lie: candidates in the order in which the language's tools would try
// them. Whether one is there is the caller's to know.

import { basename, dirname, extname, join, normalize, sep } from "node:path";
import { languageOf } from "../languages";
import { inside } from "./paths";

/** What the folders above a file say. Each null where there is no such file. */
export interface Project {
  /** The workspace folder. */
  readonly folder: string;
  readonly goModule: { readonly folder: string; readonly name: string } | null;
  /** Absolute paths, without extensions, of a module's name; of a path none. */
  readonly aliases: ((from: string) => string[]) | null;
}

type Resolver = (from: string, path: string, project: Project) => readonly string[];

/** Absolute paths at which the file that `path` imports as `from` may be; a folder is a package's. */
export function candidatesOf(
  languageId: string,
  from: string,
  path: string,
  project: Project,
): readonly string[] {
  return resolvers[languageOf(languageId)?.name ?? ""]?.(from, path, project) ?? [];
}

const EXTENSIONS = [".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"];

const script: Resolver = (from, path, { aliases }) => {
  if (/^\.{1,2}(\/|$)/.test(from)) return moduleFiles(join(dirname(path), from));
  // A file is known by one spelling: on Windows the matcher writes / where all others write \.
  return (aliases?.(from) ?? []).map(normalize).flatMap(moduleFiles);
};

/** A .js in an import of TypeScript is a .ts on disk. */
function moduleFiles(base: string): string[] {
  const extension = /\.[cm]?jsx?$/.exec(base)?.[0];
  const asTypeScript = extension === undefined ? [] : [base.replace(/js(x?)$/, "ts$1"), base];
  return [
    ...asTypeScript,
    ...(EXTENSIONS.includes(extname(base)) ? [base] : []),
    ...EXTENSIONS.map((end) => base + end),
    ...EXTENSIONS.map((end) => join(base, `index${end}`)),
  ];
}

const python: Resolver = (from, path, { folder }) => {
  const dots = /^\.*/.exec(from)![0].length;
  const parts = from.slice(dots).split(".").filter(Boolean);
  const files = (root: string) => {
    const base = join(root, ...parts);
    const asPackage = ["__init__.py", "__init__.pyi"].map((name) => join(base, name));
    return parts.length === 0 ? asPackage : [`${base}.py`, `${base}.pyi`, ...asPackage];
  };
  if (dots > 0) return files(join(dirname(path), ...Array<string>(dots - 1).fill("..")));
  return [...foldersAbove(path, folder), join(folder, "src")].flatMap(files);
};

const go: Resolver = (from, _path, { goModule }) => {
  if (goModule === null || !(from === goModule.name || from.startsWith(`${goModule.name}/`)))
    return [];
  return [join(goModule.folder, from.slice(goModule.name.length))];
};

const rust: Resolver = (from, path) => {
  const [first, ...rest] = from.split("::");
  const stem = basename(path, ".rs");
  const isRoot = ["mod", "lib", "main"].includes(stem);
  const own = isRoot ? dirname(path) : join(dirname(path), stem); // where this module's modules are
  let base = own;
  if (first === "crate") {
    const root = path.lastIndexOf(`${sep}src${sep}`);
    if (root === -1) return [];
    base = path.slice(0, root + sep.length + 3);
  } else if (first === "super") base = dirname(own);
  while (rest[0] === "super") {
    rest.shift();
    base = dirname(base);
  }
  const files = (parts: readonly string[]) => {
    const at = join(base, ...parts);
    return [`${at}.rs`, join(at, "mod.rs"), ...(parts.length === 0 ? [join(at, "lib.rs")] : [])];
  };
  return rest.length === 0 ? files(rest) : [...files(rest), ...files(rest.slice(0, -1))];
};

const include: Resolver = (from, path, { folder }) => {
  const above = foldersAbove(path, folder);
  return [...above, ...above.map((at) => join(at, "include"))].map((at) => join(at, from));
};

const java: Resolver = (from, path, { folder }) => {
  const file = `${join(...from.split("."))}.java`;
  return foldersAbove(path, folder).map((at) => join(at, file));
};

const resolvers: Readonly<Record<string, Resolver>> = {
  typescript: script,
  javascript: script,
  python,
  go,
  rust,
  c: include,
  cpp: include,
  java,
};

/** The folders from the file's own up to the workspace's. */
export function foldersAbove(path: string, folder: string): string[] {
  const folders: string[] = [];
  for (let at = dirname(path); at === folder || inside(folder, at) !== null; at = dirname(at)) {
    folders.push(at);
    if (at === folder) break;
  }
  return folders.length === 0 ? [dirname(path)] : folders;
}
