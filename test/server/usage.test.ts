import assert from "node:assert/strict";
import { mock, suite, test } from "node:test";
import type { Completion } from "../../server/completion";
import type { Counts } from "../../server/protocol";
import { Statistics } from "../../server/statistics";
import { Usage } from "../../server/usage";

const uri = "file:///a.ts";
const generated = {
  ...{ promptTokens: 100, reusedTokens: 90, generatedTokens: 5, decodeMs: 4 },
};
const call = { generated } as unknown as Completion["calls"][number];

function completion(text: string, changes: Partial<Completion> = {}): Completion {
  return {
    proposals: text === "" ? [] : [{ text, confidence: 1 }],
    source: "model",
    silence: null,
    written: text,
    calls: [call],
    ms: 10,
    ...changes,
  };
}

/** What is counted of `act`, of an open document that holds `later` a minute afterwards; null: it is closed. */
function check(act: (usage: Usage) => void, expected: Partial<Counts>, later: string | null = "") {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const statistics = new Statistics();
    const usage = new Usage(statistics, () => later ?? undefined);
    act(usage);
    mock.timers.tick(60_000);
    const { total } = statistics.report();
    for (const [key, value] of Object.entries(expected)) {
      assert.equal(total[key as keyof Counts], value, key);
    }
    usage.close();
  } finally {
    mock.timers.reset();
  }
}

const at = { uri, offset: 4 };
const accepts = (usage: Usage) => {
  usage.answered(completion("b + c;"), at);
  usage.edited(uri, "x = b + c;");
};

suite("what becomes of proposals", () => {
  test("is counted from request to edit", () =>
    check(accepts, {
      ...{ shown: 1, accepted: 1, acceptedCharacters: 6, typedAlong: 0, heldBack: 0 },
      ...{ modelCalls: 1, promptTokens: 100, reusedTokens: 90, generatedTokens: 5, decodeMs: 4 },
    }));
  test("is looked at again a minute later", () => {
    check(accepts, { lookedFor: 1, kept: 1 }, "\n    x = b + c;\n");
    check(accepts, { lookedFor: 1, kept: 0 }, "x = c;");
    check(accepts, { lookedFor: 0, kept: 0 }, null);
  });
  test("is typed along", () =>
    check(
      (usage) => {
        usage.answered(completion("bc"), at);
        usage.edited(uri, "x = b");
        usage.edited(uri, "x = bc");
      },
      { shown: 1, accepted: 0, acceptedCharacters: 0, typedAlong: 2, lookedFor: 0 },
    ));
  test("is one proposal, however often it is asked about", () =>
    check(
      (usage) => {
        usage.answered(completion("bc"), at);
        usage.answered(completion("bc", { source: "cache", calls: [] }), at);
      },
      { shown: 1, known: 1, modelCalls: 1 },
    ));
  test("is held back once, and not for nothing to say", () => {
    const held = { proposals: [], silence: "held back: 10 % sure" };
    check(
      (usage) => {
        usage.answered(completion("bc", held), at);
        usage.answered(completion("bc", { ...held, source: "cache", calls: [] }), at);
        usage.answered(completion("", { silence: "the model has nothing to say here" }), at);
      },
      { heldBack: 1, shown: 0 },
    );
  });
  test("is nothing once another document is asked about", () =>
    check(
      (usage) => {
        usage.answered(completion("bc"), at);
        usage.answered(completion(""), { uri: "file:///b.ts", offset: 0 });
        usage.edited(uri, "x = bc");
      },
      { shown: 1, accepted: 0, acceptedCharacters: 0 },
    ));
});
