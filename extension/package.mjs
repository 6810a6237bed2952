// Packages a VSIX for this platform: `npm run package [-- --out FILE]`. Build first (npm run build).
// For another one, on Linux: `node native/build.mjs --target win32-x64` (it says which others), and
// `npm run package -- --target win32-x64`.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, parse, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const given = process.argv.slice(2); // vsce's arguments
const { values } = parseArgs({
  args: given,
  options: { target: { type: "string" }, out: { type: "string", short: "o" } },
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

// The CUDA part only where it was built: without it the engine runs on the CPU.
const parts = ["ringside.node", "tree-sitter.node", "ringside_cuda.so", "ringside_cuda.dll"];
const inBuild = (name) => join(built, name);
const grammars = readdirSync(built).filter((name) => /^tree-sitter-.*\.node$/.test(name));
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

/**
 * Fills `folder` with what may ship, as it lies in the project: vsce looks at every file below the folder that
 * it packages, and the tests' tools are tens of thousands. Copies, because npm, which vsce asks for the
 * dependencies, takes linked packages for strangers.
 */
function stage(folder) {
  const copy = (name, filter) =>
    cpSync(join(root, name), join(folder, name), { recursive: true, filter });
  const lines = readFileSync(join(root, ".vscodeignore"), "utf8").split("\n");
  const shipping = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  const tops = new Set(shipping.map((path) => path.split("/")[0]));
  tops.delete("node_modules");
  const ofBuild = /\.(node|so|dll)$/; // which lies in dist/ where an older script left it
  for (const name of tops) copy(name, (file) => !ofBuild.test(file));

  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  for (const [path, { dev }] of Object.entries(packages)) {
    const installed = path !== "" && !dev && existsSync(join(root, path));
    if (installed) copy(path, (file) => !/\.(c|cc|h|wasm)$/.test(file)); // grammars' sources are 100 MB
  }

  for (const name of parts)
    if (existsSync(inBuild(name))) copyFileSync(inBuild(name), join(folder, "dist", name));
  for (const file of grammars) {
    // As node-gyp-build has it: see native/tree_sitter.js.
    const prebuilds = join("dist", "grammars", parse(file).name, "prebuilds", target);
    mkdirSync(join(folder, prebuilds), { recursive: true });
    copyFileSync(inBuild(file), join(folder, prebuilds, file));
  }
}

const vsce = createRequire(import.meta.url).resolve("@vscode/vsce/vsce");
const out = ["--out", resolve(root, values.out ?? ".")];
const args = ["package", "--skip-license", "--ignoreFile", listForTarget(), ...given, ...out];
if (values.target === undefined) args.push("--target", target);
const staged = mkdtempSync(join(tmpdir(), "ringside-package-"));
let status = null;
try {
  stage(staged);
  ({ status } = spawnSync(process.execPath, [vsce, ...args], { cwd: staged, stdio: "inherit" }));
} finally {
  rmSync(staged, { recursive: true });
}
process.exit(status ?? 1);
