// Packages a VSIX for this platform: `npm run package [-- --out FILE]`. Build first (npm run build).
// For another one, on Linux: `node native/build.mjs --target win32-x64` (it says which others), and
// `npm run package -- --target win32-x64`.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, parse } from "node:path";
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
const inBuild = (name) => join(built, name);
const shipped = (name) => join(root, "dist", name);
const grammars = readdirSync(built).filter((name) => /^tree-sitter-.*\.node$/.test(name));
const clear = () => {
  for (const name of [...parts, "grammars"])
    rmSync(shipped(name), { force: true, recursive: true });
};
clear();
for (const name of parts) {
  if (existsSync(inBuild(name))) copyFileSync(inBuild(name), shipped(name));
}
for (const file of grammars) {
  // As node-gyp-build has it: see native/tree_sitter.js.
  const folder = join(shipped("grammars"), parse(file).name, "prebuilds", target);
  mkdirSync(folder, { recursive: true });
  copyFileSync(inBuild(file), join(folder, file));
}

const own = [...parts, ...grammars].filter((name) => existsSync(inBuild(name)));
const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** The packages whose native part is npm's. */
const npms = Object.keys(dependencies).filter(
  (name) => name.startsWith("tree-sitter") && !own.includes(`${name}.node`),
);

/** What ships: of the native parts the platform's own, and npm's only where the build made none. */
function listForTarget() {
  const lines = readFileSync(join(root, ".vscodeignore"), "utf8").split("\n");
  const list = lines.flatMap((line) => {
    if (!line.includes("/tree-sitter*/") || !line.endsWith(".node")) return [line];
    if (crosses && line.includes("/build/")) return []; // that is this platform's
    return npms.map((name) => line.replace("tree-sitter*", name).replace("**", target));
  });
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
