// Bundles the integration suite into one file that an extension host can load.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const workspace = join(root, "test", "fixtures", "workspace");

/** Returns the path to give as extensionTestsPath. */
export async function buildSuite() {
  const outfile = join(root, "out", "suite", "index.js");
  await build({
    entryPoints: [join(root, "test", "extension", "suite", "index.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    external: ["vscode", "mocha"],
    sourcemap: "inline",
    logLevel: "error",
  });
  return outfile;
}

/**
 * A workspace of two folders in a place of its own: the sample, and one that git has a say in. Returns
 * its file, and what removes it all.
 */
export function makeWorkspace() {
  const place = mkdtempSync(join(tmpdir(), "ringside-workspace-"));
  cpSync(workspace, join(place, "shop"), { recursive: true });
  const tools = join(place, "tools");
  mkdirSync(join(tools, "generated"), { recursive: true });
  const ruler =
    "export function measureParcel(width: number, height: number): number {\n  return 0;\n}\n";
  writeFileSync(join(tools, "ruler.ts"), ruler);
  writeFileSync(join(tools, ".gitignore"), "generated/\n");
  writeFileSync(join(tools, "generated", "table.ts"), "export const table = [];\n");
  const file = join(place, "both.code-workspace");
  writeFileSync(file, JSON.stringify({ folders: [{ path: "shop" }, { path: "tools" }] }));
  return { file, remove: () => rmSync(place, { recursive: true }) };
}
