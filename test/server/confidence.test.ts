import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { confidenceOf, heldBackBecause } from "../../server/confidence";

/** Tokens as [text, probability]; how sure of the characters from `from` up to `to`. */
function check(tokens: [string, number][], from: number, to: number, expected: number) {
  const given = tokens.map(([text, p]) => ({ text, logProbability: Math.log(p) }));
  assert.ok(Math.abs(confidenceOf(given, from, to) - expected) < 1e-9);
}

suite("confidence", () => {
  test("is the probability of the line, with the break that ends it", () =>
    check(
      [
        ["a", 0.5],
        [" = b", 0.5],
        ["\n", 0.8],
        ["c", 0.1],
      ],
      0,
      5,
      0.25,
    ));
  test("looks at the first line with text", () =>
    check(
      [
        ["\n  ", 0.5],
        ["a", 0.5],
        ["\n", 0.5],
        ["b", 0.1],
      ],
      0,
      7,
      0.125,
    ));
  test("leaves out what has been typed", () =>
    check(
      [
        ["const", 0.1],
        [" a", 0.5],
        [";", 0.9],
      ],
      5,
      8,
      0.45,
    ));
  test("counts a token of which a part has been typed", () =>
    check(
      [
        ["const", 0.1],
        [" a", 0.5],
      ],
      3,
      7,
      0.05,
    ));
  test("counts a token without text, which has a part of what follows", () =>
    check(
      [
        ["", 0.5],
        ["a", 0.5],
        ["", 0.5],
        ["b", 0.8],
      ],
      0,
      2,
      0.1,
    ));
  test("leaves out what is not proposed", () =>
    check(
      [
        ["a", 0.5],
        ["))", 0.1],
      ],
      0,
      1,
      0.5,
    ));
  test("is whole where nothing is known", () => check([], 0, 5, 1));
  test("holds back what is unsure, by the setting", () => {
    const held = ([0.6, 0.3, 0.15, 0.01] as const).map((sure) =>
      (["low", "medium", "high", "always"] as const).map((e) => heldBackBecause(sure, e) !== null),
    );
    assert.deepEqual(held, [
      [false, false, false, false],
      [true, false, false, false],
      [true, true, false, false],
      [true, true, true, false],
    ]);
    assert.match(heldBackBecause(0.126, "medium")!, /^13 % sure, .*"medium" wants 25 %$/);
  });
});
