// Ringside for Linux on ARM, made here and run under qemu: the kernels' and the engine's tests (with "all"
// the long ones too), and the unpacked VSIX in Node for ARM. `node test/arm/run.mjs [all]`; the last line
// counts.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readElf, tooNew } from "../../native/elf.mjs";
import { installNode } from "../host/install.mjs";
import { Lane, root } from "../packaged/lane.mjs";
import { Qemu } from "./qemu.mjs";

const all = process.argv[2] === "all";

// Left out without "all": these take most of the engine's time here. Of what they compute, the
// kernels' tests have the sums, and another of the engine's has a whole model's.
const LONG = [
  "every family in every type*",
  "every backend computes what the reference does*",
  "logits are those of the Python implementation*",
  "scores are the log probabilities*",
  "what is reused is what would be read afresh*",
  "what is written with a draft is what is written without*",
  "a context that is no multiple of the checkpoints fills to its end*",
  "generation ends where it says it ends*",
  "no byte of a model's files does harm*",
];

// The emulator passes on no limit of a program's memory, and this needs one.
const LIMITED = "where the system starts no more threads*";

// Of the unit tests, those of what is compiled. The rest is JavaScript, which is the same everywhere.
const OWN = ["test/packaged/session", "test/native/addon"];

/** Each library in the VSIX is ARM's, and loads wherever VS Code's server runs. */
function checkLibraries(lane, extension) {
  const start = Date.now();
  const files = readdirSync(extension, { recursive: true }).filter((name) =>
    /\.(node|so|dll)$/.test(name),
  );
  const broken = files.flatMap((name) => {
    const elf = readElf(join(extension, name));
    if (elf?.processor !== "arm64") return [`${name} is not ARM's.`];
    const versions = tooNew(elf.versions);
    return versions.length > 0 ? [`${name} needs ${versions.join(", ")}.`] : [];
  });
  const good = files.length - broken.length;
  lane.count("libraries", broken.join("\n"), [good, broken.length], start);
}

const lane = new Lane("linux-arm64");
lane.build();
const node = installNode(lane.target);

const qemu = new Qemu();
try {
  const extension = lane.unpack(join(qemu.folder, "vsix"));
  checkLibraries(lane, extension);
  const without = all ? [] : [`--test-case-exclude=${LONG.join(",")}`];
  // The emulator takes one core: two at a time.
  const kernels = lane.doctest(qemu, "kernels", "kernels_tests/kernels_test", [
    `--test-case-exclude=${LIMITED}`,
  ]);
  await lane.doctest(qemu, "engine", "native_tests/native_tests", without);
  await lane.unitTests(qemu, node, {
    extension,
    folder: join(qemu.folder, "ringside"),
    names: OWN,
    env: {
      NODE_OPTIONS: `--require ${join(root, "test/arm/preload.cjs")}`,
      RINGSIDE_CODE: qemu.starter("code", node),
      RINGSIDE_EXTENSION: extension,
    },
    limit: 600,
  });
  await kernels;
} finally {
  qemu.close();
}
lane.end();
