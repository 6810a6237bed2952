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
    const place = "test/fixtures/workspace/stats.py:13:12";
    const { status, stdout, stderr } = ringside("complete", place, "--json", "--threads", "1");
    assert.equal(status, 0, stderr);
    const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    for (const key of ["text", "promptTokens", "loadMs", "totalMs", "device", "placement"]) {
      assert.ok(key in result, key);
    }
    assert.ok(result.generatedTokens > 0);
  });
  test("tells which GPUs there are, the last line JSON", () => {
    const { status, stdout, stderr } = ringside("devices", "--json");
    assert.equal(status, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.match(stdout, /^library +\S/m);
    assert.match(stdout, /^CUDA +runtime \S+, driver \S+$/m);
    assert.match(stdout, /^auto +(The model runs on the CPU\. \w|.+ is chosen: )/m);
    const { answered, devices, problem, choice, placement } = JSON.parse(lines.at(-1)!);
    assert.equal(answered, true, problem);
    assert.equal(lines.filter((line) => /^GPU \d+ +\S/.test(line)).length, devices.length);
    assert.equal(placement === null, choice.gpu === null);
    assert.ok(choice.gpu !== null || typeof problem === "string" || devices.length > 0);
  });
  test("says where a model runs, and why not on a GPU that was asked for", () => {
    const { status, stdout, stderr } = ringside("inspect", "--device", "cuda", "--json");
    assert.equal(status, 0, stderr);
    const { placement } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assert.ok(stdout.includes(`device      ${placement.explanation}\n`), stdout);
    if (placement.gpu === null) assert.match(stderr, /CPU|GPU/);
    else assert.equal(stderr, "");
  });
  test("runs on the processor whose instructions are named", () => {
    const { stdout } = ringside("inspect", "--backend", "reference", "--json");
    const { backend, placement } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assert.deepEqual([backend, placement.gpu], ["reference", null]);
  });
  test("says what is wrong with its arguments", () => {
    check([], /Usage:/);
    check(["complete", "a.ts:1:1", "--thread", "2"], /^BAD_REQUEST: Unknown option/);
    check(["bench", "--threads"], /^BAD_REQUEST: /);
    check(["complete", "a.ts"], /"a\.ts" is not FILE:LINE:COLUMN/);
    check(["complete", "package.json:99999:1"], /no line 99999/);
    check(["complete", "nowhere.ts:1:1"], /Can't read nowhere\.ts/);
    check(["complete", "package.json:1:1", "--model", "nowhere"], /MODEL_NOT_FOUND/);
    check(["bench", "--threads", "many"], /--threads must be a whole number/);
    check(["bench", "--device", "gpu"], /--device must be one of auto, cpu, cuda, not "gpu"/);
    check(["devices", "more"], /Usage:/);
  });
});
