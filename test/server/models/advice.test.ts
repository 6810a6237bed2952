import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { advise, recommended } from "../../../server/models/advice";
import { choices, find } from "../../../server/models/catalogue";

const measured = { tokensPerSecond: 1200, activeParameters: 5.4e6 };
const here = { memoryBytes: 8e9, measured, contextTokens: 2048 };

function check(id: string, machine: Partial<typeof here>, level: string, says: RegExp) {
  const advice = advise(find(id)!, { ...here, ...machine });
  assert.equal(advice.level, level, advice.says);
  assert.match(advice.says, says);
}

suite("advice on models", () => {
  test("says what a model takes and how long it would", () =>
    check("qwen2.5-coder-0.5b", {}, "fits", /^about 907 ms a completion here, 555 MB of memory$/));
  test("calls quick what answers between keys", () =>
    check(
      "qwen2.5-coder-0.5b",
      { measured: { ...measured, tokensPerSecond: 6000 } },
      "quick",
      /181 ms/,
    ));
  test("calls slow what nobody waits for", () =>
    check("qwen2.5-coder-7b", {}, "slow", /^about 1\d\.\d s/));
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
    const fast = { ...here, measured: { tokensPerSecond: 12_000, activeParameters: 5.4e6 } };
    const all = choices();
    const advice = all.map((choice) => advise(choice, fast));
    const best = all[recommended(all, advice)]!;
    assert.equal(advice[recommended(all, advice)]!.level, "quick");
    for (const [i, { model }] of all.entries()) {
      const takes = advice[i]!.level === "quick" && model.prompts !== "chat";
      if (takes) assert.ok((model.humanEval?.passAt1 ?? 0) <= best.model.humanEval!.passAt1);
    }
  });
  test("recommends nothing where nothing is quick", () => {
    const slow = { ...here, measured: { tokensPerSecond: 0.01, activeParameters: 5.4e6 } };
    const all = choices().filter(({ variant }) => variant !== null);
    assert.equal(
      recommended(
        all,
        all.map((choice) => advise(choice, slow)),
      ),
      -1,
    );
  });
});
