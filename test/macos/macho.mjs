// What a program or library for macOS (a Mach-O file) asks of the system that loads it: as native/elf.mjs,
// by LLVM's tools, which are there on every system.

import { spawnSync } from "node:child_process";

const processors = new Map([
  ["ARM64", "arm64"],
  ["X86_64", "x64"],
]);

/**
 * The processor (as Node calls it) that the file at `path` is for, the oldest macOS that it runs on, the
 * `libraries` that it needs, the symbols that whoever loads it has to bring (`asked`) and those that it
 * `gives`, without their underscore, and whether it is signed. Null if it is no such file.
 */
export function readMachO(path) {
  const headers = said("llvm-objdump", "--macho", "--private-headers", path);
  const [, machine] = /^MH_MAGIC_64\s+(\S+)/m.exec(headers) ?? [];
  if (machine === undefined) return null;
  const commands = headers.split(/^Load command \d+$/m).slice(1);
  const values = (command, pattern) =>
    commands.filter((text) => command.test(text)).flatMap((text) => pattern.exec(text)?.[1] ?? []);
  const [oldest] = [
    ...values(/ LC_BUILD_VERSION$/m, /^\s*minos (\S+)/m),
    ...values(/ LC_VERSION_MIN_MACOSX$/m, /^\s*version (\S+)/m),
  ];
  const symbols = (...args) => said("llvm-nm", ...args, path).split("\n");
  const named = (line) => / _(\S+)/.exec(line)?.[1] ?? [];
  return {
    processor: processors.get(machine) ?? "unknown",
    oldest,
    libraries: values(/ LC_LOAD_(WEAK_)?DYLIB$/m, /^\s*name (\S+)/m),
    asked: symbols("-u", "-m")
      .filter((line) => line.includes("dynamically looked up"))
      .flatMap(named),
    gives: symbols("-g", "-U").flatMap(named),
    signed: / LC_CODE_SIGNATURE$/m.test(headers),
  };
}

function said(tool, ...args) {
  const { stdout, error } = spawnSync(tool, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (error) throw new Error(`${tool} is missing (Debian's package llvm): ${error.message}`);
  return stdout;
}
