// What another platform's Node runs: the tree as JavaScript, file by file, so that each still finds the
// others and its fixtures. (tsx would need esbuild's own program for that platform.)

import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const sources = ["server", "native", "test/server", "test/native", "test/packaged"];
const copies = [
  "package.json",
  "models/ringside-small",
  "test/fixtures",
  "docs",
  "server/models/catalogue.json",
];
const readByTests = ["server/protocol/settings.ts", "native/elf.mjs"];

/** Lays the tree at `root` out in `folder`, with the unpacked extension's dist/. */
export function stage(root, extension, folder) {
  mkdirSync(folder, { recursive: true });
  const isScript = /\.(ts|js|cjs)$/;
  const files = sources.flatMap((source) =>
    readdirSync(join(root, source), { recursive: true })
      .filter((name) => isScript.test(name) && !name.endsWith(".d.ts"))
      .map((name) => join(root, source, name)),
  );
  const scripts = files.filter((file) => !file.endsWith(".cjs"));
  const options = { outdir: folder, outbase: root, platform: "node", format: "cjs" };
  buildSync({ entryPoints: scripts, target: "node20", sourcemap: "inline", ...options });
  for (const file of files.filter((each) => each.endsWith(".cjs"))) {
    cpSync(file, join(folder, file.slice(root.length)));
  }
  for (const name of [...copies, ...readByTests]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  cpSync(join(extension, "dist"), join(folder, "dist"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
}
