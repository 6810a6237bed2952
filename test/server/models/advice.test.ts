import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { advise, quickOnes, recommended } from "../../../server/models/advice";
import { catalogue, choices, find } from "../../../server/models/catalogue";

const measured = { keystrokeMs: 10, activeParameters: 5.4e6 };
const here = { memoryBytes: 8e9, measured, contextTokens: 2048 };

function check(id: string, machine: Partial<typeof here>, level: string, says: RegExp) {
  const advice = advise(find(id)!, { ...here, ...machine });
  assert.equal(advice.level, level, advice.says);
  assert.match(advice.says, says);
}

suite("advice on models", () => {
  test("says what a model takes and how long it would", () =>
    check("qwen2.5-coder-0.5b", {}, "fits", /^about 454 ms a completion here, 555 MB of memory$/));
  test("calls quick what answers between keys", () =>
    check("qwen2.5-coder-0.5b", { measured: { ...measured, keystrokeMs: 2 } }, "quick", /91 ms/));
  test("takes the bundled model's time for half its weights', and another's for them alone", () => {
    const bundled = { keystrokeMs: (1000 * 12) / 2515, activeParameters: 5.4e6 };
    const took = (1000 * 12) / 19.1; // with 1.54 billion parameters, on the same machine
    const model = catalogue.find(({ id }) => id === "qwen2.5-coder-1.5b")!;
    for (const measured of [bundled, { keystrokeMs: took, activeParameters: 1.54e9 }]) {
      const { says } = advise(find(model.id)!, { ...here, measured });
      const ms = Number(/^about (\d+) ms/.exec(says)?.[1]);
      assert.ok(Math.abs(ms / took - 1) < 0.1, says);
    }
    const best = recommended(choices(), { ...here, measured: bundled });
    assert.equal(best?.model.id, "qwen2.5-coder-0.5b");
  });

  test("calls slow what nobody waits for", () =>
    check("qwen2.5-coder-7b", {}, "slow", /^about \d\.\d s/));
  test("says that a model does not fit", () =>
    check(
      "qwen2.5-coder-7b",
      { memoryBytes: 4e9 },
      "tooLarge",
      /^too large here: takes .* of memory, and may take 4\.0 GB$/,
    ));
  test("says nothing of time that was not measured", () =>
    check("qwen2.5-coder-0.5b", { measured: null as never }, "fits", /^555 MB of memory$/));
  test("recommends the best that is quick", () => {
    const fast = { ...here, measured: { keystrokeMs: 1, activeParameters: 5.4e6 } };
    const best = recommended(choices(), fast)!;
    assert.equal(advise(best, fast).level, "quick");
    for (const choice of choices()) {
      const takes = advise(choice, fast).level === "quick" && choice.model.prompts !== "chat";
      const passed = choice.model.humanEval?.passAt1 ?? 0;
      if (takes) assert.ok(passed <= best.model.humanEval!.passAt1);
    }
  });
  test("recommends nothing where nothing is quick", () => {
    const slow = { ...here, measured: { keystrokeMs: 1e6, activeParameters: 5.4e6 } };
    const forms = choices().filter(({ variant }) => variant !== null);
    assert.equal(recommended(forms, slow), null);
  });
  test("recommends nothing that does not fit", () => {
    const small = { ...here, memoryBytes: 1, measured: { keystrokeMs: 1, activeParameters: 1e9 } };
    assert.equal(
      recommended(
        choices().filter(({ variant }) => variant !== null),
        small,
      ),
      null,
    );
  });
});

suite("models in place of one that is too slow", () => {
  test("are quick enough, the best first, and end with the bundled model", () => {
    const ids = quickOnes({ keystrokeMs: 4000, activeParameters: 7.6e9 }); // a tenth: 0.76 billion
    assert.deepEqual(ids, ["qwen2.5-coder-0.5b", "ringside-small"]);
    const more = quickOnes({ keystrokeMs: 1000, activeParameters: 7.6e9 }); // 3.04 billion
    assert.equal(more.at(-1), "ringside-small");
    assert.ok(more.length === 3 && !more.includes("qwen2.5-coder-7b"));
  });
  test("name models of the catalogue that fill in the middle", () => {
    for (const id of quickOnes({ keystrokeMs: 2000, activeParameters: 30e9 })) {
      const model = catalogue.find((entry) => entry.id === id)!;
      assert.notEqual(model.prompts, "chat");
    }
  });
  test("leave the bundled model where nothing else is quick enough", () =>
    assert.deepEqual(quickOnes({ keystrokeMs: 60_000, activeParameters: 0.5e9 }), [
      "ringside-small",
    ]));
});
