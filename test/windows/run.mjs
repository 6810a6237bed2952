// Ringside for Windows, made here and run under Wine: the kernels' and the engine's tests, and the
// unpacked VSIX in Node for Windows. `node test/windows/run.mjs [all]`; the last line counts.

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { installNode } from "../host/install.mjs";
import { Lane, root } from "../packaged/lane.mjs";
import { Wine } from "./wine.mjs";

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
  "test/packaged/session",
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

const lane = new Lane("win32-x64");
lane.build();
const node = installNode(lane.target);

const wine = new Wine();
try {
  await lane.doctest(wine, "kernels", "kernels_tests/kernels_test.exe");
  const without = all ? [] : [`--test-case-exclude=${LONG.join(",")}`];
  await lane.doctest(wine, "engine", "native_tests/native_tests.exe", without);

  copyFileSync(join(root, "test", "windows", "preload.cjs"), join(wine.drive, "preload.cjs"));
  copyFileSync(node, join(wine.drive, "Code.exe"));
  const prebuilds = join(wine.drive, "tree-sitter", "prebuilds", lane.target);
  mkdirSync(prebuilds, { recursive: true });
  copyFileSync(join(lane.folder, "tree-sitter.node"), join(prebuilds, "tree-sitter.node"));
  await lane.unitTests(wine, node, {
    extension: lane.unpack(join(wine.drive, "vsix")),
    folder: join(wine.drive, "ringside"),
    names: all ? null : OWN,
    env: {
      NODE_OPTIONS: "--require C:/preload.cjs",
      RINGSIDE_CODE: "C:\\Code.exe",
      RINGSIDE_EXTENSION: "C:\\vsix\\extension",
      // The sources' tree-sitter is node_modules', which has this system's.
      PREBUILDS_ONLY: "1",
      TREE_SITTER_PREBUILD: "C:\\tree-sitter",
    },
    limit: all ? 1200 : 300,
  });
} finally {
  wine.close();
}
lane.end();
