import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { pathToFileURL } from "node:url";

interface MachO {
  readonly processor: string;
  readonly oldest: string;
  readonly libraries: readonly string[];
  readonly asked: readonly string[];
  readonly gives: readonly string[];
  readonly signed: boolean;
}

interface Module {
  readMachO(path: string): MachO | null;
}

const root = join(__dirname, "../..");
const loading: Promise<Module> = import(pathToFileURL(join(root, "test/macos/macho.mjs")).href);
const scratch = mkdtempSync(join(tmpdir(), "ringside-macho-"));
after(() => rmSync(scratch, { recursive: true }));

const prebuilt = (target: string) =>
  join(root, "node_modules/tree-sitter-c/prebuilds", target, "tree-sitter-c.node");

const isThere = ["llvm-nm", "llvm-objdump"].every(
  (tool) => spawnSync(tool, ["--version"]).status === 0,
);
const skip = isThere ? false : "LLVM's tools are not installed";

suite("libraries for macOS", { skip }, () => {
  test("say which Macs they are for, and what they need and give", async () => {
    const { readMachO } = await loading;
    const arm64 = readMachO(prebuilt("darwin-arm64"))!;
    assert.equal(arm64.processor, "arm64");
    assert.equal(arm64.oldest, "11.0");
    assert.ok(arm64.signed);
    const x64 = readMachO(prebuilt("darwin-x64"))!;
    assert.equal(x64.processor, "x64");
    assert.equal(x64.oldest, "10.7");
    assert.ok(!x64.signed);
    for (const library of [arm64, x64]) {
      const system = ["/usr/lib/libc++.1.dylib", "/usr/lib/libSystem.B.dylib"];
      assert.deepEqual(library.libraries, system);
      assert.ok(library.asked.includes("napi_create_external"), library.asked.join(" "));
      assert.ok(library.gives.includes("napi_register_module_v1"), library.gives.join(" "));
      assert.ok(!library.asked.includes("memcpy") && !library.gives.includes("memcpy"));
    }
  });
  test("are not what is for another system, cut off or a text", async () => {
    const { readMachO } = await loading;
    assert.equal(readMachO(prebuilt("win32-x64")), null);
    assert.equal(readMachO(prebuilt("linux-x64")), null);
    const path = join(scratch, "file");
    const bytes = readFileSync(prebuilt("darwin-arm64"));
    for (const length of [0, 4, 31, 500, bytes.length / 2]) {
      writeFileSync(path, bytes.subarray(0, length));
      assert.equal(readMachO(path), null, `${length} bytes`);
    }
    writeFileSync(path, "no library".repeat(20));
    assert.equal(readMachO(path), null);
  });
});
