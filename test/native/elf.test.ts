import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { pathToFileURL } from "node:url";

interface Elf {
  readonly processor: string;
  readonly versions: readonly string[];
}

interface Module {
  readElf(path: string): Elf | null;
  tooNew(versions: readonly string[]): string[];
}

const root = join(__dirname, "../..");
const loading: Promise<Module> = import(pathToFileURL(join(root, "native/elf.mjs")).href);
const scratch = mkdtempSync(join(tmpdir(), "ringside-elf-"));
after(() => rmSync(scratch, { recursive: true }));

const prebuilt = (target: string) =>
  join(root, "node_modules/tree-sitter-c/prebuilds", target, "tree-sitter-c.node");

/** What is read of `bytes`. */
async function read(bytes: Uint8Array): Promise<Elf | null> {
  const path = join(scratch, "file");
  writeFileSync(path, bytes);
  return (await loading).readElf(path);
}

suite("libraries for Linux", () => {
  test("say which processor they are for, and what they need", async () => {
    const { readElf } = await loading;
    for (const processor of ["x64", "arm64"]) {
      const elf = readElf(prebuilt(`linux-${processor}`))!;
      assert.equal(elf.processor, processor);
      assert.ok(elf.versions.includes("GLIBCXX_3.4.21"), elf.versions.join(" "));
      assert.ok(elf.versions.some((name) => name.startsWith("GLIBC_2.")));
    }
  });
  test("are not what is for another system, cut off or a text", async () => {
    assert.equal((await loading).readElf(prebuilt("win32-x64")), null);
    const bytes = readFileSync(prebuilt("linux-arm64"));
    for (const length of [0, 4, 63, 64, bytes.length / 2]) {
      assert.equal(await read(bytes.subarray(0, length)), null, `${length} bytes`);
    }
    assert.equal(await read(Buffer.from("no library".repeat(20))), null);
  });
  test("are too new beyond what VS Code's server needs itself", async () => {
    const { tooNew } = await loading;
    const fine = ["GLIBC_2.9", "GLIBC_2.28", "GLIBCXX_3.4.25", "CXXABI_1.3.11", "GCC_14.0.0"];
    assert.deepEqual(tooNew(fine), []);
    const not = ["GLIBC_2.29", "GLIBC_2.100", "GLIBC_3.0", "GLIBCXX_3.4.26", "CXXABI_1.3.13"];
    assert.deepEqual(tooNew(not), not);
  });
});
