// Builds the addon into build/native/ringside.node: `node native/build.mjs [Debug]`.
// Needs a C++20 compiler, CMake, and Ninja or make; downloads nothing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const native = dirname(fileURLToPath(import.meta.url));
const output = resolve(native, "../build/native");
const config = process.argv[2] ?? "Release";

const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin/cmake-js");
const addonApi = dirname(require.resolve("node-addon-api/package.json"));
const hasNinja = spawnSync("ninja", ["--version"]).status === 0;
const generator = process.platform === "win32" ? [] : ["-G", hasNinja ? "Ninja" : "Unix Makefiles"];

const built = spawnSync(
  process.execPath,
  [
    ...[cmakeJs, "compile", "-l", "warn", "-d", native, "-O", output, "--config", config, "-p", "2"],
    ...[`--CDRINGSIDE_NODE_ADDON_API=${addonApi}`, ...generator],
  ],
  { stdio: "inherit" },
);
if (built.status !== 0) {
  console.error("The addon did not build; the compiler's messages are above.");
  process.exit(1);
}
const addon = join(output, "ringside.node");
if (!existsSync(addon)) {
  console.error(`The build ended well, but ${addon} is not there.`);
  process.exit(1);
}
console.log(addon);
