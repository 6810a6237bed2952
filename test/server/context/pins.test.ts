import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import type { Candidate } from "../../../server/context/candidate";
import { Pins } from "../../../server/context/pins";
import { type Ranked, sizeOf } from "../../../server/context/rank";

const count = (line: string) => line.length;

/** A ranking by names, the best first: each a snippet of its own, of about 30 tokens. */
function ranked(names: string, source: Candidate["source"] = "tab"): Ranked[] {
  return [...names].map((name, rank) => ({
    candidate: { source, file: name, path: name, range: null, text: `${name.repeat(24)}\n` },
    score: 1 / (rank + 1),
  }));
}

interface Step {
  readonly uri?: string;
  readonly line?: number;
  readonly names: string;
  readonly isReady?: boolean;
  readonly waitMs?: number;
  readonly source?: Candidate["source"];
}

/** What is shown after each of `steps`, as names in the prompt's order. */
function shownAfter(steps: readonly Step[], tokens = 100): string[] {
  let now = 0;
  const pins = new Pins(() => now);
  return steps.map(({ uri = "a", line = 0, names, isReady = true, waitMs = 0, source }) => {
    now += waitMs;
    const budget = { tokens, count };
    const shown = pins.choose(
      { uri, line, isReady, budget },
      () => ranked(names, source),
      () => new Set(),
    );
    return shown.map(({ path }) => path).join("");
  });
}

function check(steps: readonly Step[], expected: readonly string[], tokens?: number) {
  assert.deepEqual(shownAfter(steps, tokens), expected);
}

suite("pinned snippets", () => {
  test("stand with the best last", () => check([{ names: "xyz" }], ["zyx"]));
  test("go where their file goes, and leave the others where they are", () => {
    const pins = new Pins(() => 0);
    const place = { uri: "a", line: 0, isReady: true, budget: { tokens: 100, count } };
    const shown = () =>
      pins.choose(
        place,
        () => ranked("xyz"),
        () => new Set(),
      );
    pins.drop(() => true); // nothing was chosen yet
    const [z, , x] = shown();
    pins.drop(({ file }) => file === "y");
    assert.deepEqual(shown(), [z, x]);
  });
  test("stand with the most stable first", () => {
    let mixed: Ranked[] = [];
    mixed = [...ranked("e", "edit"), ...ranked("t", "tab"), ...ranked("i", "import")];
    const budget = { tokens: 1000, count };
    const shown = new Pins(() => 0).choose(
      { uri: "a", line: 0, isReady: true, budget },
      () => mixed,
      () => new Set(),
    );
    assert.deepEqual(
      shown.map(({ path }) => path),
      ["i", "t", "e"],
    );
  });
  test("stay while the cursor moves a little", () =>
    check([{ names: "xy" }, { line: 15, names: "vw" }], ["yx", "yx"]));
  test("stay, with what else fits, when it moves far", () =>
    check([{ names: "xy" }, { line: 16, names: "xyz" }], ["yx", "yxz"]));
  test("stay when it moves far and nothing new fits that is worth more", () =>
    check([{ names: "xyz" }, { line: 40, names: "vxyz" }], ["zyx", "zyx"]));
  test("give way when they have lost most of their worth", () =>
    check([{ names: "xyz" }, { line: 40, names: "uvwxyz" }], ["zyx", "wvu"]));
  test("are chosen anew in another file, those at the start staying there", () =>
    check([{ names: "xyz" }, { uri: "b", names: "yzw" }], ["zyx", "zyw"]));
  test("are chosen anew after a pause", () =>
    check(
      [{ names: "xy" }, { names: "vw", waitMs: 29_000 }, { names: "vw", waitMs: 31_000 }],
      ["yx", "yx", "wv"],
    ));
  test("are chosen anew once what is slow has been found, and once only", () =>
    check(
      [
        { names: "xy", isReady: false },
        { names: "v" },
        { names: "w", isReady: false },
        { names: "w" },
      ],
      ["yx", "v", "v", "v"],
    ));
  test("never exceed the budget, and never move while the user types", () => {
    const step = fc.record({
      line: fc.nat(60),
      names: fc
        .string({ unit: fc.constantFrom(..."abcdefgh"), maxLength: 8 })
        .map((all) => [...new Set(all)].join("")),
    });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 20, max: 300 }),
        (steps, tokens) => {
          const size = sizeOf(ranked("a")[0]!.candidate, count);
          const shown = shownAfter(steps, tokens);
          for (const names of shown) {
            assert.ok(names.length * size <= tokens);
            assert.equal(new Set(names).size, names.length);
          }
          const typing = shownAfter([...steps, { ...steps.at(-1)!, names: "hgfe" }], tokens);
          assert.equal(typing.at(-1), typing.at(-2));
        },
      ),
    );
  });
});
