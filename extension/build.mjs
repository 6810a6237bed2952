// Bundles the extension, the server, the process that it asks for GPUs, and the command line into dist/.
// The tree-sitter grammars and the engine are native modules and stay outside.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const native = ["node-gyp-build", "tree-sitter/package.json", "tree-sitter-*", "*.node"];

/** Bundles tree-sitter's JavaScript, so that native/tree_sitter.js can choose its native part. */
const treeSitter = {
  name: "tree-sitter",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]tree-sitter[\\/]index\.js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const ours = JSON.stringify(join(root, "native", "tree_sitter.js"));
      const contents = text.replace(
        /^const binding = [^;]*;/m,
        `const binding = require(${ours})();`,
      );
      if (contents === text) throw new Error(`${path} finds its native part in a new way.`);
      return { contents };
    });
  },
};

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
  plugins: [treeSitter],
  sourcemap: "linked",
  minifySyntax: true,
  logLevel: "warning",
});
