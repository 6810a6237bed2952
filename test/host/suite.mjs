// Bundles the integration suite into one file that an extension host can load.

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
