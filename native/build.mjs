// Builds the addon into build/native/ringside.node: `node native/build.mjs [Debug]`. For Windows, on
// Linux with mingw-w64: `node native/build.mjs --target win32-x64`, into build/native-win32-x64/; with
// --tests, those of the kernels and the engine too.
// Needs a C++20 compiler, CMake, and Ninja or make; downloads nothing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const require = createRequire(import.meta.url);
const native = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  options: { target: { type: "string" }, tests: { type: "boolean", default: false } },
  allowPositionals: true,
});
const config = positionals[0] ?? "Release";
const here = `${process.platform}-${process.arch}`;
const target = values.target ?? here;
const crosses = target !== here;
if (crosses && target !== "win32-x64") {
  console.error(`Only win32-x64 can be built on another platform; ${target} has to be built on its own.`);
  process.exit(1);
}
const output = resolve(native, crosses ? `../build/native-${target}` : "../build/native");

const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin/cmake-js");
const addonApi = dirname(require.resolve("node-addon-api/package.json"));
const hasNinja = spawnSync("ninja", ["--version"]).status === 0;
const generator = process.platform === "win32" ? [] : ["-G", hasNinja ? "Ninja" : "Unix Makefiles"];
const headers = dirname(require.resolve("node-api-headers/package.json"));
const crossing = [
  `--CDCMAKE_TOOLCHAIN_FILE=${join(native, "windows.cmake")}`,
  `--CDRINGSIDE_NODE_API_DEF=${join(headers, "def", "node_api.def")}`,
  `--CDRINGSIDE_TESTS=${values.tests ? "ON" : "OFF"}`,
  `--CDRINGSIDE_TREE_SITTER=${dirname(require.resolve("tree-sitter/package.json"))}`,
];

// "compile" leaves a folder as it was configured, and --tests may have changed.
for (const step of crosses ? ["configure", "compile"] : ["compile"]) {
  const built = spawnSync(
    process.execPath,
    [
      ...[cmakeJs, step, "-l", "warn", "-d", native, "-O", output, "--config", config, "-p", "2"],
      ...[`--CDRINGSIDE_NODE_ADDON_API=${addonApi}`, ...generator, ...(crosses ? crossing : [])],
    ],
    { stdio: "inherit" },
  );
  if (built.status !== 0) {
    console.error("The addon did not build; the compiler's messages are above.");
    process.exit(1);
  }
}
const addon = join(output, "ringside.node");
if (!existsSync(addon)) {
  console.error(`The build ended well, but ${addon} is not there.`);
  process.exit(1);
}
console.log(addon);
