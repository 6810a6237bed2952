// Everything that must pass: npm test. Installs, builds, then runs each lane; the last line counts.
// Plain Node: it runs before anything is installed.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findNvcc } from "../native/nvcc.mjs";
import { runCases } from "./doctest.mjs";
import { finished } from "./finished.mjs";
import { installNvcc, setUp } from "./host/setup.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const onLinux = process.platform === "linux";
const node = process.execPath;
const fuzzSeconds = process.env.RINGSIDE_FUZZ_SECONDS ?? "12"; // for each of five targets

function run(command, args, options = {}) {
  const { status, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
    ...options,
  });
  return { ok: status === 0, output: stdout ?? "" };
}

function cmake(source, build, ...options) {
  const configured = run("cmake", [
    "-S",
    source,
    "-B",
    build,
    "-DCMAKE_BUILD_TYPE=Release",
    ...options,
  ]);
  if (!configured.ok) return configured;
  return run("cmake", ["--build", build, "--parallel", "2"]);
}

/** Builds a doctest program and runs its cases. */
async function doctest(source, build, program) {
  const built = cmake(source, build);
  if (!built.ok) return { ...built, passed: 0, failed: 1 };
  return runCases((args) => finished(join(root, build, program), args));
}

function countsOf(match, ok) {
  if (match === null) return { passed: 0, failed: 1 };
  const [passed, failed] = [Number(match[1]), Number(match[2])];
  return { passed, failed: failed === 0 && !ok ? 1 : failed };
}

/** A lane that prints "N passed, M failed" at its end. */
function script(...args) {
  const { ok, output } = run(node, args);
  return { ok, output, ...countsOf(/(\d+) passed, (\d+) failed\s*$/.exec(output), ok) };
}

/** A lane that either ends well or does not. */
function whole(command, args) {
  const { ok, output } = run(command, args);
  return { ok, output, passed: Number(ok), failed: Number(!ok) };
}

function unitTests() {
  const { ok, output } = run(node, [
    "--import",
    "tsx",
    "--test",
    "--test-reporter=tap",
    ...testFiles(),
  ]);
  const passed = /^# pass (\d+)/m.exec(output);
  const failed = /^# fail (\d+)/m.exec(output);
  const counts = passed && failed ? [null, passed[1], failed[1]] : null;
  return { ok, output: failuresOf(output), ...countsOf(counts, ok) };
}

function testFiles() {
  const folders = ["architecture", "server", "editors", "extension", "native", "training"];
  return folders.flatMap((folder) => {
    const path = join(root, "test", folder);
    const names = existsSync(path) ? readdirSync(path, { recursive: true }) : [];
    const inVsCode = /^suite[\\/]/; // another lane's
    return names
      .filter((name) => name.endsWith(".test.ts") && !inVsCode.test(name))
      .map((name) => join(path, name));
  });
}

function failuresOf(tap) {
  const blocks = tap.split(/^(?=\s*(?:not )?ok )/m);
  return blocks.filter((block) => block.trimStart().startsWith("not ok")).join("");
}

/** The GPU's library by nvcc, warnings as errors. Nothing is run, so Turing's code is made as far as PTX. */
function builtByNvcc() {
  const nvcc = findNvcc() ?? installNvcc();
  if (nvcc === null) return { ok: false, output: "There is no nvcc.\n", passed: 0, failed: 1 };
  const architectures = "-DRINGSIDE_CUDA_ARCHITECTURES=75-virtual;90-real";
  const { ok, output } = cmake(
    "kernels/cuda",
    "build/cuda",
    `-DCMAKE_CUDA_COMPILER=${nvcc}`,
    architectures,
  );
  return { ok, output, passed: Number(ok), failed: Number(!ok) };
}

const lanes = [
  ["types and format", () => whole(node, ["test/check.mjs"])],
  [
    "GPU kernels, emulated", // before all that run an engine on that GPU
    () => doctest("test/kernels/cuda", "build/cuda-emulated", "cuda_test"),
    onLinux,
  ],
  ["GPU kernels by nvcc", builtByNvcc, onLinux && process.arch === "x64"],
  [
    "GPU kernels by hipcc",
    () => whole("sh", ["test/gpu/hip.sh"]),
    existsSync("/usr/bin/apt-get"), // which has it
  ],
  ["unit and property tests", unitTests],
  ["kernels", () => doctest("test/kernels", "build/kernels", "kernels_test")],
  ["Linux on ARM (qemu)", () => script("test/arm/run.mjs"), onLinux && process.arch === "x64"],
  [
    "Windows (Wine)",
    () => script("test/windows/run.mjs"),
    onLinux && process.arch === "x64" && existsSync("/usr/bin/apt-get"), // which has both compiler and Wine
  ],
  [
    "macOS (built and read)",
    () => script("test/macos/run.mjs"),
    onLinux && process.arch === "x64" && existsSync("/usr/bin/apt-get"), // which has what reads it
  ],
  ["engine", () => doctest("test/native", "build/native-tests", "native_tests")],
  ["fuzz", () => whole(node, ["test/fuzz/run.mjs", fuzzSeconds]), onLinux],
  ["extension in VS Code", () => script("test/host/run.mjs")],
  ["editor with real keys", () => script("test/host/ui.mjs")],
];

setUp({ forTests: true });
let passed = 0;
let failed = 0;
const only = process.argv.slice(2);
for (const [name, lane, applies = true] of lanes) {
  if (!applies || (only.length > 0 && !only.some((part) => name.includes(part)))) continue;
  const start = Date.now();
  const result = await lane();
  const seconds = Math.round((Date.now() - start) / 1000);
  if (result.failed > 0) console.log(result.output.slice(-20_000));
  console.log(`${name}: ${result.passed} passed, ${result.failed} failed (${seconds} s)`);
  passed += result.passed;
  failed += result.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
