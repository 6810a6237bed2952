import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { bytesText, timeText } from "../../../server/units";
import { Meter, type Progress } from "../../../server/models/progress";

/** A meter with a clock to set, and what it told. */
function meter(total: number | null) {
  const told: Progress[] = [];
  const clock = { ms: 0 };
  return {
    told,
    clock,
    meter: new Meter(
      total,
      (each) => told.push(each),
      () => clock.ms,
    ),
  };
}

suite("progress", () => {
  test("tells the rate of the last seconds, and the time that is left", () => {
    const { told, clock, meter: m } = meter(1000);
    m.at("a", 100, 0); // was there
    for (let second = 1; second <= 4; second++) {
      clock.ms = second * 1000;
      m.at("a", 100 + second * 10, 10);
    }
    const { bytes, bytesPerSecond, secondsLeft } = told.at(-1)!;
    assert.deepEqual([bytes, bytesPerSecond, secondsLeft], [140, 10, 86]);
  });
  test("forgets how fast it was before", () => {
    const { told, clock, meter: m } = meter(null);
    m.at("a", 0, 0);
    clock.ms = 1000;
    m.at("a", 1e6, 1e6);
    for (clock.ms = 2000; clock.ms < 20_000; clock.ms += 1000) m.at("a", 1e6, 0);
    assert.equal(told.at(-1)!.bytesPerSecond, 0);
    assert.equal(told.at(-1)!.secondsLeft, null);
  });
  test("tells ten times a second at most, and each file's end", () => {
    const { told, clock, meter: m } = meter(2000);
    for (clock.ms = 0; clock.ms < 1000; clock.ms++) m.at("a", clock.ms + 1, 1);
    assert.equal(told.length, 10);
    m.finish("a", 1000);
    assert.deepEqual([told.length, told.at(-1)!.bytes], [11, 1000]);
    clock.ms += 100;
    m.at("b", 5, 5);
    assert.deepEqual([told.at(-1)!.bytes, told.at(-1)!.file], [1005, "b"]);
  });
  test("says sizes as a reader does", () => {
    for (const [bytes, text] of [
      [0, "0 B"],
      [999, "999 B"],
      [1000, "1.0 kB"],
      [9949, "9.9 kB"],
      [9951, "10 kB"],
      [999_499, "999 kB"],
      [999_500, "1.0 MB"],
      [4_683_073_536, "4.7 GB"],
      [5e15, "5000 TB"],
    ] as const) {
      assert.equal(bytesText(bytes), text);
    }
  });
  test("never says a size of four digits before a larger unit", () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999e12 }), (bytes) =>
        assert.match(bytesText(bytes), /^(\d\.\d|\d{1,3}) [kMGT]?B$/),
      ),
    ));
  test("says times as a reader does", () => {
    for (const [seconds, text] of [
      [0, "0 s"],
      [44.2, "45 s"],
      [61, "1 min"],
      [3600, "1 h 0 min"],
      [7500, "2 h 5 min"],
    ] as const) {
      assert.equal(timeText(seconds), text);
    }
  });
});
