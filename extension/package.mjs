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
copyFileSync(addon, join(root, "dist", "ringside.node"));

// The CUDA part, where it was built: without it the engine runs on the CPU. One of another build must not stay.
for (const name of ["ringside_cuda.so", "ringside_cuda.dll"]) {
  const built = join(root, "build", "native", name);
  const shipped = join(root, "dist", name);
  if (existsSync(built)) copyFileSync(built, shipped);
  else rmSync(shipped, { force: true });
}

const vsce = createRequire(import.meta.url).resolve("@vscode/vsce/vsce");
const target = `${process.platform}-${process.arch}`;
const args = ["package", "--target", target, "--skip-license", ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, [vsce, ...args], { cwd: root, stdio: "inherit" });
process.exit(status ?? 1);
