import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { coded, isAbort, RingsideError } from "../../server/errors";

function check(error: unknown, code: string, message: string) {
  const result = coded(error);
  assert.deepEqual([result.code, result.message, result.name], [code, message, "RingsideError"]);
}

suite("errors", () => {
  test("keeps the engine's codes", () =>
    check(
      Object.assign(new Error("cut short"), { code: "MODEL_CORRUPT" }),
      "MODEL_CORRUPT",
      "cut short",
    ));
  test("knows that a GPU was lost", () =>
    check(Object.assign(new Error("gone"), { code: "DEVICE_LOST" }), "DEVICE_LOST", "gone"));
  test("calls any other code a bug", () =>
    check(Object.assign(new Error("gone"), { code: "ENOENT" }), "INTERNAL", "gone"));
  test("takes what is no error", () => {
    check("oh", "INTERNAL", "oh");
    check(null, "INTERNAL", "null");
    check(undefined, "INTERNAL", "undefined");
  });
  test("keeps the cause", () => {
    const bug = new TypeError("x");
    assert.equal(coded(bug).cause, bug);
  });
  test("passes its own errors through", () => {
    const error = new RingsideError("BAD_REQUEST", "no");
    assert.equal(coded(error), error);
  });
  test("knows an abort", () => {
    assert.equal(isAbort(AbortSignal.abort().reason), true);
    assert.equal(isAbort(new Error("AbortError")), false);
  });
});
