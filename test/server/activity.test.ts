import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ActivityMeter } from "../../server/activity";
import type { Completion } from "../../server/completion";
import type { Activity } from "../../server/protocol";

interface Call {
  readonly generatedTokens: number;
  readonly decodeMs: number;
  readonly promptTokens?: number;
  readonly reusedTokens?: number;
}

function completion(ms: number, ...calls: Call[]): Completion {
  const usual = { promptTokens: 100, reusedTokens: 90 };
  return { ms, calls: calls.map((call) => ({ generated: { ...usual, ...call } })) } as never;
}

/** What is told of completions that come at these times, in milliseconds. */
function told(...rows: [at: number, completion: Completion][]): Activity[] {
  const heard: Activity[] = [];
  let now = 0;
  const meter = new ActivityMeter(
    (activity) => heard.push(activity),
    () => now,
  );
  for (const [at, each] of rows) {
    now = at;
    meter.completed(each);
  }
  return heard;
}

suite("activity", () => {
  test("has the speed of writing, the share read before and the time", () =>
    assert.deepEqual(told([0, completion(25, { generatedTokens: 11, decodeMs: 100 })]), [
      { tokensPerSecond: 100, reusedShare: 0.9, lastMs: 25 },
    ]));
  test("follows the speed slowly", () => {
    const fast = completion(1, { generatedTokens: 11, decodeMs: 50 });
    const slow = completion(1, { generatedTokens: 11, decodeMs: 100 });
    const speeds = told([0, slow], [2000, fast], [4000, fast]).map((each) => each.tokensPerSecond);
    assert.deepEqual(speeds, [100, 130, 151]);
  });
  test("is told at most once a second", () => {
    const each = completion(1, { generatedTokens: 11, decodeMs: 100 });
    assert.equal(told([0, each], [400, each], [999, each], [1000, each]).length, 2);
  });
  test("is not told by completions that were known, or too short to measure", () => {
    assert.deepEqual(told([0, completion(1)]), []);
    assert.deepEqual(told([0, completion(1, { generatedTokens: 2, decodeMs: 1 })]), []);
  });
  test("counts what was reused of all prompts", () => {
    const first = completion(1, { generatedTokens: 11, decodeMs: 100, reusedTokens: 0 });
    const second = completion(1, { generatedTokens: 11, decodeMs: 100, reusedTokens: 100 });
    assert.equal(told([0, first], [1000, second])[1]!.reusedShare, 0.5);
  });
});
