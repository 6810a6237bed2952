// Ringside for Windows, made here and run under Wine: the kernels' and the engine's tests, and the
// unpacked VSIX in Node for Windows. `node test/windows/run.mjs [all]`; the last line counts.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { installNode } from "../host/install.mjs";
import { stage } from "./stage.mjs";
import { Wine } from "./wine.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const build = join(root, "build", "native-win32-x64");
const all = process.argv[2] === "all";

// These three take nine tenths of the engine's time here, and their sums are the kernels', which are
// tested apart: without "all" they are left out.
const LONG = [
  "every family in every type*",
  "every backend computes what the reference does*",
  "what is reused is what would be read afresh*",
];

// Of the unit tests, those of what Windows does in its own way: paths, URIs, files, locks, processes.
const OWN = [
  "test/windows/session",
  "test/native/addon",
  "test/server/cli",
  "test/server/devices",
  "test/server/lsp",
  "test/server/statistics",
  "test/server/context/context",
  "test/server/context/exclusion",
  "test/server/context/resolve",
  "test/server/context/server",
  "test/server/context/symbolindex",
  "test/server/models/cli",
  "test/server/models/download",
  "test/server/models/source",
];

let passed = 0;
let failed = 0;

function count(name, { output }, counts, start) {
  const [good, bad] = counts === null ? [0, 1] : [Number(counts[1]), Number(counts[2])];
  if (bad > 0) console.log(output.slice(-10_000));
  const seconds = Math.round((Date.now() - start) / 1000);
  console.log(`${name}: ${good} passed, ${bad} failed (${seconds} s)`);
  passed += good;
  failed += bad;
}

function here(...args) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status === 0) return;
  console.log(`${args.join(" ")} did not work.\n0 passed, 1 failed`);
  process.exit(1);
}

function doctest(wine, name, program, args = []) {
  const start = Date.now();
  const result = wine.run(join(build, program), args);
  const summary = /test cases:\s+\d+ \|\s+(\d+) passed \|\s+(\d+) failed/.exec(result.output);
  count(name, result, summary, start);
}

/** The tests of `files` in node.exe, over the packaged server and the packaged addon. */
function unitTests(wine, node, folder, files) {
  const start = Date.now();
  const env = {
    NODE_OPTIONS: "--require C:/preload.cjs",
    RINGSIDE_CODE: "C:\\Code.exe",
    // The sources' tree-sitter is node_modules', which has this system's.
    PREBUILDS_ONLY: "1",
    TREE_SITTER_PREBUILD: "C:\\tree-sitter",
  };
  const args = ["--test", "--test-reporter=tap", "--test-concurrency=2", ...files];
  const { ok, output } = wine.run(node, args, { cwd: folder, env, seconds: all ? 1200 : 300 });
  const passes = /^# pass (\d+)/m.exec(output)?.[1];
  const failures = /^# fail (\d+)/m.exec(output)?.[1];
  const counts = passes === undefined ? null : [null, passes, ok ? failures : failures || 1];
  const blocks = output.split(/^(?=\s*(?:not )?ok )/m);
  const broken = blocks.filter((block) => block.trimStart().startsWith("not ok")).join("");
  count("Node", { output: broken || output }, counts, start);
}

const begun = Date.now();
here("native/build.mjs", "--target", "win32-x64", "--tests");
const vsix = join(build, "ringside.vsix");
here("extension/package.mjs", "--target", "win32-x64", "--out", vsix);
const node = installNode();
console.log(`built in ${Math.round((Date.now() - begun) / 1000)} s`);

const wine = new Wine();
try {
  doctest(wine, "kernels", "kernels_tests/kernels_test.exe");
  const without = all ? [] : [`--test-case-exclude=${LONG.join(",")}`];
  doctest(wine, "engine", "native_tests/native_tests.exe", without);

  const unpacked = join(wine.folder, "vsix");
  spawnSync("unzip", ["-q", vsix, "-d", unpacked], { stdio: "inherit" });
  const folder = join(wine.drive, "ringside");
  stage(root, join(unpacked, "extension"), folder);
  copyFileSync(join(root, "test", "windows", "preload.cjs"), join(wine.drive, "preload.cjs"));
  copyFileSync(node, join(wine.drive, "Code.exe"));
  const prebuilds = join(wine.drive, "tree-sitter", "prebuilds", "win32-x64");
  mkdirSync(prebuilds, { recursive: true });
  copyFileSync(join(build, "tree-sitter.node"), join(prebuilds, "tree-sitter.node"));
  const tests = all
    ? readdirSync(join(folder, "test"), { recursive: true })
        .filter((name) => name.endsWith(".test.js"))
        .map((name) => join("test", name))
    : OWN.map((name) => `${name}.test.js`);
  const missing = tests.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) throw new Error(`There is no ${relative(folder, missing.join(", "))}.`);
  unitTests(wine, node, folder, tests);
} finally {
  wine.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
