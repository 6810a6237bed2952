// Builds the GPU's library into build/native/, beside the addon: `node native/build_cuda.mjs
// [--architectures all|native|...]`. Needs nvcc (CUDA 12 or later) and CMake; downloads nothing.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findNvcc } from "./nvcc.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({ options: { architectures: { type: "string", default: "all" } } });

const nvcc = findNvcc();
if (nvcc === null) {
  console.error("There is no nvcc on the PATH or in /usr/local/cuda. Install the CUDA toolkit, or set CUDACXX.");
  process.exit(1);
}
const output = join(root, "build", "cuda");
const name = process.platform === "win32" ? "ringside_cuda.dll" : "ringside_cuda.so";

function cmake(...args) {
  const { status } = spawnSync("cmake", args, { cwd: root, stdio: "inherit" });
  if (status === 0) return;
  console.error("The GPU's library did not build; the messages are above.");
  process.exit(1);
}

cmake(
  ...["-S", "kernels/cuda", "-B", output, "-DCMAKE_BUILD_TYPE=Release"],
  `-DCMAKE_CUDA_COMPILER=${nvcc}`,
  `-DRINGSIDE_CUDA_ARCHITECTURES=${values.architectures}`,
);
cmake("--build", output, "--parallel", "2", "--target", "ringside_cuda");
mkdirSync(join(root, "build", "native"), { recursive: true });
const built = join(root, "build", "native", name);
copyFileSync(join(output, name), built);
console.log(built);
