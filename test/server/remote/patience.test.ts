import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { EndpointError } from "../../../server/remote/failure";
import { backoffMs, CircuitBreaker } from "../../../server/remote/patience";

const pauses = { after: 3, firstMs: 2000, longestMs: 60_000 };
const failure = (retryAfterMs: number | null = null) =>
  new EndpointError("ENDPOINT_FAILED", "It fails.", { passes: true, retryAfterMs });

/** How long requests pause after each of so many failures in a row, each as soon as it can be. */
function check(failures: (number | null)[], expected: (ms: number) => boolean) {
  let now = 0;
  const breaker = new CircuitBreaker(pauses, () => now);
  let last = 0;
  for (const retryAfterMs of failures) {
    breaker.check();
    breaker.failed(failure(retryAfterMs));
    last = 0;
    for (; isPaused(breaker); now += 100) last += 100;
  }
  assert.ok(expected(last), String(last));
}

function isPaused(breaker: CircuitBreaker): boolean {
  try {
    breaker.check();
    return false;
  } catch {
    return true;
  }
}

suite("circuit breaker", () => {
  test("lets two failures pass", () => check([null, null], (ms) => ms === 0));
  test("pauses after the third, for a second or two", () =>
    check([null, null, null], (ms) => ms >= 1000 && ms <= 2000));
  test("pauses longer after each further one", () =>
    check([null, null, null, null, null], (ms) => ms >= 4000 && ms <= 8000));
  test("pauses for a minute at most", () =>
    check(Array(40).fill(null), (ms) => ms >= 30_000 && ms <= 60_000));
  test("pauses at once for as long as the server asks, within bounds", () => {
    check([5000], (ms) => ms === 5000);
    check([3_600_000], (ms) => ms === 60_000);
  });
  test("begins anew after a success", () => {
    const breaker = new CircuitBreaker(pauses, () => 0);
    for (let i = 0; i < 10; i++) {
      assert.equal(isPaused(breaker), false);
      breaker.failed(failure());
      breaker.failed(failure());
      breaker.succeeded();
    }
  });
  test("says in the error for how long it pauses", () => {
    const breaker = new CircuitBreaker(pauses, () => 0);
    assert.match(breaker.failed(failure(4200)).message, /^It fails\. Completions pause for 5 s\.$/);
  });
});

suite("backoff", () => {
  test("doubles up to its longest, and is cut by up to half at random", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, random) => {
          const ms = backoffMs(n, { firstMs: 100, longestMs: 1000 }, random);
          const most = n >= 5 ? 1000 : 100 * 2 ** (n - 1);
          assert.ok(ms >= most / 2 && ms <= most, String(ms));
        },
      ),
    ));
});
