import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { tune, tuneRemote } from "../../server/tuning";

const wishes = { contextTokens: 2048, maxTokens: 48, rereads: false };

suite("tuning", () => {
  test("leaves the settings alone where the model is quick", () => {
    const tuning = tune({ read: 5000, decode: 1000 }, wishes);
    assert.deepEqual(
      [tuning.contextTokens, tuning.maxTokens, tuning.rereadTokens, tuning.verdict],
      [2048, 48, null, "fast"],
    );
    assert.equal(tuning.says, "Completes in about 12 ms here.");
  });
  test("cuts context and length where it is not", () => {
    const tuning = tune({ read: 100, decode: 20 }, { ...wishes, maxTokens: 256 });
    assert.deepEqual([tuning.contextTokens, tuning.maxTokens], [400, 30]);
    assert.equal(tuning.verdict, "usable");
    assert.equal(tuning.says, "Completes in about 620 ms here: in pauses, not between keys.");
  });
  test("says when it is too slow", () => {
    const tuning = tune({ read: 20, decode: 4 }, wishes);
    assert.equal(tuning.verdict, "slow");
    assert.equal(tuning.says, "Too slow for this machine: a completion would take about 3.1 s.");
  });
  test("leaves the context of a model elsewhere alone, and cuts its length", () => {
    const quick = tuneRemote(80, 100, wishes);
    assert.deepEqual([quick.contextTokens, quick.maxTokens, quick.keystrokeMs], [2048, 48, 200]);
    assert.equal(quick.says, "Completes in about 200 ms here.");
    const slow = tuneRemote(1000, 20, wishes);
    assert.deepEqual([slow.contextTokens, slow.maxTokens], [2048, 30]);
    assert.equal(slow.says, "Too slow from here: a completion would take about 1.6 s.");
  });
  test("shortens a suffix that each key makes the model read again", () => {
    const rereads = { ...wishes, rereads: true };
    assert.equal(tune({ read: 5000, decode: 1000 }, rereads).rereadTokens, 300);
    assert.equal(tune({ read: 100, decode: 20 }, rereads).rereadTokens, 16);
    assert.equal(tune({ read: 1e6, decode: 1000 }, rereads).rereadTokens, 512);
  });
  test("never asks for more than the settings, nor takes longer with a faster model", () =>
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e6, noNaN: true }),
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.integer({ min: 64, max: 131072 }),
        fc.integer({ min: 1, max: 1024 }),
        fc.boolean(),
        (read, decode, contextTokens, maxTokens, rereads) => {
          const one = tune({ read, decode }, { contextTokens, maxTokens, rereads });
          assert.ok(one.contextTokens <= contextTokens && one.contextTokens >= 1);
          assert.ok(one.maxTokens <= maxTokens && one.maxTokens >= 1);
          assert.ok((one.rereadTokens ?? 0) <= contextTokens);
          const twice = tune(
            { read: read * 2, decode: decode * 2 },
            { contextTokens, maxTokens, rereads },
          );
          assert.ok(twice.keystrokeMs <= one.keystrokeMs + 61); // the suffix may grow with the speed
        },
      ),
    ));
});
