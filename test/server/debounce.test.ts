import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { Debounce } from "../../server/debounce";

/** The wait after these model calls. */
function check(times: readonly number[], setting: number | null, expected: number) {
  const debounce = new Debounce();
  for (const ms of times) debounce.measured(ms);
  assert.equal(debounce.waitMs(setting), expected);
}

suite("debounce", () => {
  test("waits what the user sets", () => check([500, 500], 40, 40));
  test("does not wait a negative time", () => check([], -3, 0));
  test("guesses before the model has answered", () => check([], null, 30));
  test("waits half of what the model takes", () => check(Array(60).fill(200), null, 100));
  test("does not take a bad measurement", () => check([Number.NaN, -1, Infinity], null, 30));
  test("waits between 5 and 300 ms whatever was measured", () =>
    fc.assert(
      fc.property(fc.array(fc.double()), (times) => {
        const debounce = new Debounce();
        for (const ms of times) debounce.measured(ms);
        const wait = debounce.waitMs(null);
        assert.ok(wait >= 5 && wait <= 300);
      }),
    ));
});
