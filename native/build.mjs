// Builds what Node loads into build/native/: `node native/build.mjs [Debug]`. For another platform, on
// Linux with its compiler: `node native/build.mjs --target win32-x64` (or linux-arm64, darwin-arm64,
// darwin-x64), into build/native-win32-x64/; with --tests, those of the kernels and the engine too.
// Needs a C++20 compiler, CMake, and Ninja or make; downloads nothing.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readElf, tooNew } from "./elf.mjs";

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
/** Each with its toolchain's file, and what that is told. */
const toolchains = {
  "win32-x64": ["windows.cmake"],
  "linux-arm64": ["linux_arm64.cmake"],
  "darwin-arm64": ["macos.cmake", "--CDRINGSIDE_MACOS=aarch64"],
  "darwin-x64": ["macos.cmake", "--CDRINGSIDE_MACOS=x86_64"],
};
if (crosses && toolchains[target] === undefined) {
  const known = Object.keys(toolchains).join(", ");
  console.error(
    `Only ${known} can be built on another platform; ${target} has to be built on its own.`,
  );
  process.exit(1);
}
const output = resolve(native, crosses ? `../build/native-${target}` : "../build/native");

/** Where npm has a package. */
const folderOf = (name) => dirname(require.resolve(`${name}/package.json`));

/**
 * The grammars whose package brings none for Linux on this processor, or another processor's: those of C++,
 * Java and TypeScript have x64's under the name of arm64.
 */
function missingGrammars() {
  const [platform, processor] = target.split("-");
  if (platform !== "linux") return [];
  const { dependencies } = JSON.parse(readFileSync(join(native, "../package.json"), "utf8"));
  const grammars = Object.keys(dependencies).filter((name) => name.startsWith("tree-sitter-"));
  return grammars.filter((name) => {
    const prebuilt = join(folderOf(name), "prebuilds", target, `${name}.node`);
    const elf = existsSync(prebuilt) ? readElf(prebuilt) : null;
    return elf?.processor !== processor || tooNew(elf.versions).length > 0;
  });
}

const hasNinja = spawnSync("ninja", ["--version"]).status === 0;
const generator = process.platform === "win32" ? [] : ["-G", hasNinja ? "Ninja" : "Unix Makefiles"];
const [toolchain = "", ...told] = toolchains[target] ?? [];
const crossing = [
  `--CDCMAKE_TOOLCHAIN_FILE=${join(native, toolchain)}`,
  ...told,
  `--CDRINGSIDE_NODE_API_DEF=${join(folderOf("node-api-headers"), "def", "node_api.def")}`,
];
// The runtime that npm has asks for Node-API 10, which Node 20 (VS Code up to 1.100) lacks, and crashes it;
// on Linux also for a C++ library that many systems lack.
const buildsRuntime = crosses || process.platform === "linux";
const options = [
  `--CDRINGSIDE_NODE_ADDON_API=${folderOf("node-addon-api")}`,
  `--CDRINGSIDE_TREE_SITTER=${buildsRuntime ? folderOf("tree-sitter") : ""}`,
  `--CDRINGSIDE_GRAMMARS=${missingGrammars().map(folderOf).join(";")}`,
  `--CDRINGSIDE_TESTS=${values.tests ? "ON" : "OFF"}`,
  ...(crosses ? crossing : []),
];

// "compile" leaves a folder as it was configured.
for (const step of ["configure", "compile"]) {
  const cmakeJs = join(folderOf("cmake-js"), "bin/cmake-js");
  const folders = [step, "-l", "warn", "-d", native, "-O", output, "--config", config, "-p", "2"];
  const args = [cmakeJs, ...folders, ...options, ...generator];
  const built = spawnSync(process.execPath, args, { stdio: "inherit" });
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
if (target.startsWith("linux-")) {
  for (const name of readdirSync(output).filter((file) => file.endsWith(".node"))) {
    const versions = tooNew(readElf(join(output, name))?.versions ?? []);
    if (versions.length === 0) continue;
    console.warn(`${name} needs ${versions.join(", ")}: where VS Code's server runs, it may not load.`);
  }
}
console.log(addon);
