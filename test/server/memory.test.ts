import assert from "node:assert/strict";
import os from "node:os";
import { suite, test } from "node:test";
import { memoryHere } from "../../server/memory";

const check = (machine: number, constrained: number, expected: number) =>
  assert.equal(memoryHere(machine, constrained), expected);

suite("memory here", () => {
  test("is the machine's", () => check(32e9, 0, 32e9));
  test("is a container's, which has less", () => check(32e9, 4e9, 4e9));
  test("is the machine's where a container may have more", () => check(32e9, 2 ** 64, 32e9));
  test("is at most what this machine has", () => {
    assert.ok(memoryHere() > 0);
    assert.ok(memoryHere() <= os.totalmem());
  });
});
