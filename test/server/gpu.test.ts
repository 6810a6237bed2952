// The built server and command line on the emulated GPU: the GPU's library as a file, its kernels on
// the host (test/kernels/cuda).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";

const root = join(__dirname, "../..");
const library = join(root, "build/cuda-emulated/ringside_cuda.so");

function ringside(args: readonly string[], named = library) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli.js"), ...args, "--json"],
    { cwd: root, encoding: "utf8", env: { ...process.env, RINGSIDE_GPU_LIBRARY: named } },
  );
  assert.equal(status, 0, stderr);
  return { stdout, stderr, result: JSON.parse(stdout.trimEnd().split("\n").at(-1)!) };
}

suite("with a GPU", { skip: process.platform !== "linux" && "the emulator runs on Linux" }, () => {
  before(() => {
    const how =
      "cmake -S test/kernels/cuda -B build/cuda-emulated && cmake --build build/cuda-emulated";
    assert.ok(existsSync(library), `There is no ${library}. Build it: ${how}`);
  });

  test("a process of its own reports it, and it is chosen", () => {
    const { stdout, result } = ringside(["devices"]);
    assert.equal(result.answered, true);
    assert.equal(result.library, library);
    assert.equal(result.devices.length, 1);
    assert.equal(result.choice.gpu, 0);
    assert.match(stdout, /^GPU 0 +Emulated device, compute capability 8\.0, .+ can be used$/m);
    assert.match(stdout, /^placement +6 of 6 layers run on the GPU/m);
  });

  test("completes what the processor completes", () => {
    const complete = (device: string) =>
      ringside(["complete", "server/units.ts:9:3", "--context", "96", "--device", device]).result;
    const [onCpu, onGpu] = [complete("cpu"), complete("cuda")];
    assert.equal(onGpu.text, onCpu.text);
    assert.equal(onGpu.placement.gpu, "Emulated device");
    assert.equal(onGpu.placement.gpuLayers, 6);
    assert.equal(onCpu.placement.gpu, null);
  });

  test("runs as many layers on it as it may take memory for", () => {
    const { placement } = ringside(["inspect", "--device", "cuda", "--gpu-memory", "20"]).result;
    assert.ok(placement.gpuLayers > 0 && placement.gpuLayers < 6, placement.explanation);
    assert.ok(placement.gpuBytes <= 20e6);
    assert.match(placement.explanation, /^\d of 6 layers run on the GPU.+For more, /);
  });

  test("a library of another version is refused, and says so", () => {
    const { stdout, result } = ringside(["devices"], join(root, "build/native/ringside.node"));
    assert.equal(result.choice.gpu, null);
    assert.match(stdout, /can't be opened: |belongs to another version/);
  });

  test("the library that ships is looked for beside the addon", () => {
    const declared = readFileSync(join(root, "extension/package.mjs"), "utf8");
    const { result } = ringside(["devices"], "");
    assert.ok(declared.includes("ringside_cuda.so"));
    // The packaged addon's folder, or that of the one that was built.
    const places = ["dist", "build/native"].map((folder) => join(root, folder, "ringside_cuda.so"));
    if (places.some((place) => existsSync(place))) return;
    assert.ok(
      places.some((place) => result.problem.includes(place)),
      result.problem,
    );
  });
});
