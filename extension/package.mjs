// Packages a VSIX for this platform: `npm run package [-- --out FILE]`. Build first (npm run build).
// For Windows, on Linux: `node native/build.mjs --target win32-x64`, and `npm run package -- --target
// win32-x64`.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const given = process.argv.slice(2); // vsce's arguments
const { values } = parseArgs({
  args: given,
  options: { target: { type: "string" } },
  strict: false,
});
const here = `${process.platform}-${process.arch}`;
const target = values.target ?? here;
const crosses = target !== here;

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = join(root, "build", crosses ? `native-${target}` : "native");
const addon = join(built, "ringside.node");
if (!existsSync(addon)) {
  const how = crosses ? `node native/build.mjs --target ${target}` : "npm run build";
  console.error(`There is no engine at ${addon}. Build it first: ${how}`);
  process.exit(1);
}

// Beside the bundle while it is packaged, and gone after it: what lies there is loaded in place of any
// later build. The CUDA part only where it was built: without it the engine runs on the CPU.
const parts = ["ringside.node", "tree-sitter.node", "ringside_cuda.so", "ringside_cuda.dll"];
const shipped = (name) => join(root, "dist", name);
const clear = () => {
  for (const name of parts) rmSync(shipped(name), { force: true });
};
clear();
for (const name of parts) {
  if (existsSync(join(built, name))) copyFileSync(join(built, name), shipped(name));
}

/** What ships: of the native parts the platform's own, and to another platform no runtime but the one in dist/. */
function listForTarget() {
  const modules = crosses ? "tree-sitter-*" : "tree-sitter*";
  const lines = readFileSync(join(root, ".vscodeignore"), "utf8").split("\n");
  const list = lines
    .filter((line) => !crosses || !line.includes("/build/Release/"))
    .map((line) => line.replace("tree-sitter*/prebuilds/**", `${modules}/prebuilds/${target}`));
  const path = join(built, "vscodeignore");
  writeFileSync(path, list.join("\n"));
  return path;
}

const vsce = createRequire(import.meta.url).resolve("@vscode/vsce/vsce");
const args = ["package", "--skip-license", "--ignoreFile", listForTarget(), ...given];
if (values.target === undefined) args.push("--target", target);
const { status } = spawnSync(process.execPath, [vsce, ...args], { cwd: root, stdio: "inherit" });
clear();
process.exit(status ?? 1);
