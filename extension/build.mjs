// Bundles the extension, the server, the process that it asks for GPUs, and the command line into dist/.
// The tree-sitter grammars and the engine are native modules and stay outside.

import { build } from "esbuild";

const native = ["tree-sitter", "tree-sitter-*", "*.node"];

await build({
  entryPoints: {
    extension: "extension/main.ts",
    server: "server/main.ts",
    probe: "server/probe.ts",
    cli: "server/cli.ts",
  },
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  external: ["vscode", ...native],
  sourcemap: "linked",
  minifySyntax: true,
  logLevel: "warning",
});
