// Packages a VSIX for this platform: `npm run package [-- --out FILE]`. Build first (npm run build).

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const addon = join(root, "build", "native", "ringside.node");
if (!existsSync(addon)) {
  console.error(`There is no engine at ${addon}. Build it first: npm run build`);
  process.exit(1);
}

// Beside the bundle while it is packaged, and gone after it: what lies there is loaded in place of any
// later build. The CUDA part only where it was built: without it the engine runs on the CPU.
const parts = ["ringside.node", "ringside_cuda.so", "ringside_cuda.dll"];
const shipped = (name) => join(root, "dist", name);
const clear = () => {
  for (const name of parts) rmSync(shipped(name), { force: true });
};
clear();
for (const name of parts) {
  const built = join(root, "build", "native", name);
  if (existsSync(built)) copyFileSync(built, shipped(name));
}

const vsce = createRequire(import.meta.url).resolve("@vscode/vsce/vsce");
const target = `${process.platform}-${process.arch}`;
const args = ["package", "--target", target, "--skip-license", ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, [vsce, ...args], { cwd: root, stdio: "inherit" });
clear();
process.exit(status ?? 1);
