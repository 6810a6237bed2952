// The built command line: node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { suite, test } from "node:test";

const root = join(__dirname, "../..");

function ringside(...args: string[]) {
  return spawnSync(process.execPath, [join(root, "dist/cli.js"), ...args], {
    cwd: root,
    encoding: "utf8",
  });
}

function check(args: readonly string[], message: RegExp) {
  const { status, stderr } = ringside(...args);
  assert.equal(status, 1);
  assert.match(stderr, message);
}

suite("command line", () => {
  test("completes, the last line JSON", () => {
    const place = "server/cache.ts:14:1";
    const { status, stdout, stderr } = ringside("complete", place, "--json", "--threads", "1");
    assert.equal(status, 0, stderr);
    const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    for (const key of ["text", "source", "promptTokens", "loadMs", "totalMs", "device"]) {
      assert.ok(key in result, key);
    }
    assert.equal(result.source, "model");
  });
  test("says what is wrong with its arguments", () => {
    check([], /Usage:/);
    check(["complete", "a.ts"], /"a\.ts" is not FILE:LINE:COLUMN/);
    check(["complete", "package.json:99999:1"], /no line 99999/);
    check(["complete", "nowhere.ts:1:1"], /Can't read nowhere\.ts/);
    check(["complete", "package.json:1:1", "--model", "nowhere"], /MODEL_NOT_FOUND/);
    check(["bench", "--threads", "many"], /--threads must be a whole number/);
  });
});
