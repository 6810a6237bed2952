// What a program or library for Linux (an ELF file) asks of the system that loads it.

import { readFileSync } from "node:fs";

const processors = new Map([
  [0x3e, "x64"],
  [0xb7, "arm64"],
]);
const VERSIONS_NEEDED = 0x6ffffffe; // SHT_GNU_verneed

/**
 * The processor (as Node calls it) that the file at `path` is for, and the versions of libraries that it
 * needs, such as GLIBC_2.17. Null if it is no ELF file of 64 bits, or a damaged one.
 */
export function readElf(path) {
  const bytes = readFileSync(path);
  const isElf = bytes.length >= 64 && bytes.toString("latin1", 0, 4) === "\x7fELF";
  if (!isElf || bytes[4] !== 2 || bytes[5] !== 1) return null; // 64 bits, little-endian
  const processor = processors.get(bytes.readUInt16LE(18)) ?? "unknown";
  try {
    return { processor, versions: versionsNeeded(bytes) };
  } catch {
    return null;
  }
}

/** Throws where the file's tables lead out of it. */
function versionsNeeded(bytes) {
  const sections = Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => {
    const at = Number(bytes.readBigUInt64LE(40)) + index * bytes.readUInt16LE(58);
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      strings: bytes.readUInt32LE(at + 40), // which section has its names
      count: bytes.readUInt32LE(at + 44),
    };
  });
  const versions = [];
  for (const { offset, strings, count } of sections.filter(({ type }) => type === VERSIONS_NEEDED)) {
    const nameAt = (index) => {
      const start = sections[strings].offset + index;
      return bytes.toString("latin1", start, bytes.indexOf(0, start));
    };
    for (let file = 0, at = offset; file < count; file++, at += bytes.readUInt32LE(at + 12)) {
      let version = at + bytes.readUInt32LE(at + 8);
      for (let left = bytes.readUInt16LE(at + 2); left > 0; left--) {
        versions.push(nameAt(bytes.readUInt32LE(version + 8)));
        version += bytes.readUInt32LE(version + 12);
      }
    }
  }
  return versions;
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
