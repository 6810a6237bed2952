// Ringside for Macs, made here, and each library in its VSIX read: nothing here runs macOS. Apple silicon;
// with "all" Intel too, whose kernels are compiled for Linux as well. `node test/macos/run.mjs [all]`; the
// last line counts.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installZig } from "../host/install.mjs";
import { Lane } from "../packaged/lane.mjs";
import { readMachO } from "./macho.mjs";

const all = process.argv[2] === "all";

const OLDEST = 11; // as in native/macos.cmake
const SYSTEM = ["/usr/lib/libSystem.B.dylib", "/usr/lib/libc++.1.dylib"];

/** Why Node on a Mac with this `processor` would not load the library at `path`; null: it reads as it should. */
function broken(path, processor) {
  const library = readMachO(path);
  if (library?.processor !== processor) return `is for ${library?.processor ?? "no Mac"}`;
  const foreign = library.libraries.filter((name) => !SYSTEM.includes(name));
  if (foreign.length > 0) return `needs ${foreign.join(", ")}`;
  const unknown = library.asked.filter((name) => !/^(napi|node_api)_/.test(name));
  if (unknown.length > 0) return `asks Node for ${unknown.join(", ")}`;
  if (!library.gives.includes("napi_register_module_v1")) return "is no addon";
  if (Number.parseInt(library.oldest, 10) > OLDEST) return `needs macOS ${library.oldest}`;
  if (processor === "arm64" && !library.signed) return "is not signed, which Apple silicon refuses";
  return null;
}

/** Makes and reads the VSIX for `target`. */
function check(target) {
  const lane = new Lane(target);
  lane.build({ tests: false });
  const folder = mkdtempSync(join(tmpdir(), "ringside-macos-"));
  try {
    const start = Date.now();
    const extension = lane.unpack(join(folder, "vsix"));
    const files = readdirSync(extension, { recursive: true }).filter((name) =>
      /\.(node|so|dll|dylib)$/.test(name),
    );
    for (const own of ["dist/ringside.node", "dist/tree-sitter.node"])
      if (!files.includes(own)) files.push(own); // which is then read as no library
    const processor = target.split("-")[1];
    const faults = files.flatMap((name) => {
      const why = broken(join(extension, name), processor);
      return why === null ? [] : [`${name} ${why}.`];
    });
    const counted = [files.length - faults.length, faults.length];
    lane.count(`libraries for ${target}`, faults.join("\n"), counted, start);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return lane;
}

process.env.ZIG = installZig();
const [lane, ...others] = ["darwin-arm64", ...(all ? ["darwin-x64"] : [])].map(check);
for (const other of others) {
  lane.passed += other.passed;
  lane.failed += other.failed;
}
lane.end();
