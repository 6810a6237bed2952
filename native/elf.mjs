// What a program or library for Linux (an ELF file) asks of the system that loads it.

import { spawnSync } from "node:child_process";

const processors = new Map([
  ["Advanced Micro Devices X86-64", "x64"],
  ["AArch64", "arm64"],
]);

/**
 * The processor (as Node calls it) that the file at `path` is for, and the versions of libraries that it
 * needs, such as GLIBC_2.17. Null if it is no ELF file, a damaged one, or readelf (of binutils, which
 * compilers for Linux bring) is not there.
 */
export function readElf(path) {
  const env = { ...process.env, LC_ALL: "C" }; // it speaks the user's language
  const said = spawnSync("readelf", ["-hVW", path], { encoding: "utf8", env });
  const [, machine] = /^\s*Machine:\s+(.+)$/m.exec(said.stdout ?? "") ?? [];
  // Of a file that is cut off it complains, and ends well.
  if (machine === undefined || /Error: /.test(said.stderr)) return null;
  const [, needs = ""] = said.stdout.split("Version needs section");
  const versions = Array.from(needs.matchAll(/ Name: (\S+)/g), ([, name]) => name);
  return { processor: processors.get(machine) ?? "unknown", versions };
}

// What VS Code's server asks of a remote host, and so all that an extension may.
const SUPPORTED = { GLIBC: "2.28", GLIBCXX: "3.4.25", CXXABI: "1.3.11" };

/** Of `versions`, those that a system need not have on which VS Code's server runs. */
export function tooNew(versions) {
  return versions.filter((name) => {
    const [library, version] = name.split("_");
    return SUPPORTED[library] !== undefined && isAbove(version, SUPPORTED[library]);
  });
}

function isAbove(version, limit) {
  return version.localeCompare(limit, "en", { numeric: true }) > 0;
}
