// What a fresh clone needs before anything runs: packages, the bundles, the engine.
// Plain Node: nothing is installed yet.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { once } from "./install.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

// What the tests need besides Node, a C++ compiler and CMake, by the file that says it is there.
const debian = {
  "/usr/include/doctest/doctest.h": "doctest-dev",
  "/usr/bin/qemu-aarch64": "qemu-user",
  "/usr/bin/aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
  "/usr/bin/x86_64-w64-mingw32-g++-posix": "g++-mingw-w64-x86-64-posix",
  "/usr/bin/wine": "wine",
  "/usr/lib/wine/wine64": "wine64",
  "/usr/bin/unzip": "unzip",
  "/usr/bin/clang++": "clang",
  "/usr/bin/clang-format": "clang-format",
  "/usr/bin/llvm-objdump": "llvm",
  "/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a": "libclang-rt-14-dev",
  "/usr/bin/chromium": "chromium",
  "/usr/bin/hipcc": "hipcc",
  "/usr/bin/strace": "strace",
  "/usr/bin/nvim": "neovim",
};

function run(command, ...args) {
  const options = { cwd: root, stdio: ["ignore", "inherit", "inherit"] };
  const { status, error } = spawnSync(command, args, options);
  if (status === 0) return;
  const why = error?.message ?? `it ended with ${status}`;
  console.error(`\n${[command, ...args].join(" ")} did not work: ${why}.`);
  process.exit(1);
}

function npm(...args) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith(".js")) run(process.execPath, cli, ...args);
  else run(process.platform === "win32" ? "npm.cmd" : "npm", ...args);
}

/** Installs what is missing and builds. Ends the process, saying why, if something can't be had. */
export function setUp({ forTests = false } = {}) {
  if (Number(process.versions.node.split(".")[0]) < 20) {
    console.error(`Ringside needs Node 20 or newer; this is ${process.version}.`);
    process.exit(1);
  }
  installPackages();
  if (forTests) installTools();
  run(process.execPath, join("extension", "build.mjs"));
  run(process.execPath, join("native", "build.mjs"));
}

/** CUDA's compiler from its Python packages, into build/; its path, or null. */
export function installNvcc() {
  const target = join(root, "build", "cuda-toolkit");
  const nvcc = join(target, "nvidia", "cu13", "bin", "nvcc");
  if (existsSync(nvcc)) return nvcc;
  console.log("Installing CUDA's compiler...");
  const packages = [
    "nvidia-cuda-nvcc==13.*",
    "nvidia-cuda-runtime==13.*",
    "nvidia-cuda-cccl==13.*",
  ];
  const pip = ["-m", "pip", "install", "-q", "--target", target, ...packages];
  spawnSync("python3", pip, { stdio: ["ignore", "ignore", "inherit"] });
  return existsSync(nvcc) ? nvcc : null;
}

function installPackages() {
  once(root, "packages", () => {
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error");
    // Some tree-sitter bindings are built for a newer C++ library than this system's, or a newer Node.
    const loads = spawnSync(process.execPath, ["-e", 'require("tree-sitter")'], { cwd: root });
    if (loads.status !== 0) npm("rebuild", "tree-sitter", "--build-from-source");
  });
}

function installTools() {
  if (!existsSync("/usr/bin/apt-get")) return; // elsewhere the lanes say what they miss
  const missing = Object.entries(debian).filter(([file]) => !existsSync(file));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  const root = process.getuid?.() === 0 ? [] : ["sudo"];
  const [command, ...args] = [...root, "apt-get"];
  console.log(`Installing ${packages.join(", ")}...`);
  const quiet = { stdio: ["ignore", "ignore", "inherit"] };
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  spawnSync(command, [...args, "update", "-q"], { ...quiet, env });
  const install = ["install", "-y", "-q", "--no-install-recommends", ...packages];
  const { status } = spawnSync(command, [...args, ...install], { ...quiet, env });
  if (status !== 0) console.error(`Install these yourself: ${packages.join(" ")}`);
}
