import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { alignedTokens } from "../../../server/remote/alignment";

/** Tokens as texts, the i-th of logarithm -(i + 1); what they are beside `text`, as [text, logarithm]. */
function check(texts: readonly string[], text: string, expected: readonly [string, number][]) {
  const tokens = texts.map((each, i) => ({ text: each, logProbability: -(i + 1) }));
  assert.deepEqual(
    alignedTokens(tokens, text).map((token) => [token.text, token.logProbability]),
    expected,
  );
}

suite("tokens of an endpoint", () => {
  test("stay as they are where they are the text", () =>
    check(["a", " = b", ";"], "a = b", [
      ["a", -1],
      [" = b", -2],
      [";", -3],
    ]));
  test("are one where they are named by a character's bytes", () =>
    check(["// ", "bytes:\\xe4\\xb8", "bytes:\\xad", " x"], "// 中 x", [
      ["// ", -1],
      ["中", -5],
      [" x", -4],
    ]));
  test("are one where they are replacement characters", () => {
    check(["\uFFFD", "\uFFFD", "\uFFFD", "\uFFFD", "a"], "🙂a", [
      ["🙂", -10],
      ["a", -5],
    ]);
    check([" \uFFFD", "\uFFFD文", "中"], " 中文中", [
      [" 中文", -3],
      ["中", -3],
    ]);
    check(["a", "\uFFFD", "\uFFFD"], "a中", [
      ["a", -1],
      ["中", -5],
    ]);
  });
  test("are what they are where the text has replacement characters", () =>
    check(["\uFFFD", "a"], "\uFFFDa", [
      ["\uFFFD", -1],
      ["a", -2],
    ]));
  test("may come before their text", () => {
    check(["a", "\uFFFD"], "a", [
      ["a", -1],
      ["\uFFFD", -2],
    ]);
    check(["ab", "c"], "a", [
      ["ab", -1],
      ["c", -2],
    ]);
  });
  test("are none where they are another text", () => {
    check(["Ġa"], " a", []);
    check(["a"], "ab", []);
    check(["\uFFFD", "x"], "中yz", []);
  });
  test("are the text again, however its characters are split", () => {
    const decoder = new TextDecoder();
    const characters = fc.uniqueArray(fc.constantFrom(..."a =é中文🙂🙃\n"));
    fc.assert(
      fc.property(characters, fc.array(fc.integer({ min: 1, max: 5 })), (all, sizes) => {
        const text = all.join("");
        const bytes = Buffer.from(text);
        const tokens = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + (sizes[i] ?? 3);
          tokens.push({ text: decoder.decode(bytes.subarray(at, end)), logProbability: -1 });
          at = end;
        }
        const aligned = alignedTokens(tokens, text);
        assert.equal(aligned.map((token) => token.text).join(""), text);
        const sum = aligned.reduce((total, token) => total - token.logProbability, 0);
        assert.equal(sum, tokens.length);
      }),
    );
  });
});
