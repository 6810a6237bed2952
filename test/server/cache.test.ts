import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { CompletionCache, type Entry } from "../../server/cache";
import type { Cursor } from "../../server/prompt";
import { at, heldBy } from "./support";

const entry = (...texts: string[]): Entry => ({
  written: texts.map((text) => ({ text, tokens: [], unsure: false })),
  alternatives: texts.length > 1,
});

/** What is left of each text that `cache` has there. */
function left(cache: CompletionCache, place: Cursor): string[] | undefined {
  const found = cache.find(place);
  return found?.written.map(({ text }) => text.slice(found.typed));
}

/** Stores `completion` at `stored`, then looks at `asked`: the one place that knows the API. */
function check(stored: string, completion: string, asked: string, expected: string | undefined) {
  const cache = new CompletionCache();
  cache.store(at(stored), entry(completion));
  assert.deepEqual(left(cache, at(asked)), expected === undefined ? undefined : [expected]);
}

suite("completion cache", () => {
  test("answers at the same cursor", () => check("a = |;", "b + c", "a = |;", "b + c"));
  test("answers the rest once its start is typed", () =>
    check("a = |;", "b + c", "a = b |;", "+ c"));
  test("is silent once the user goes another way", () =>
    check("a = |;", "b + c", "a = x|;", undefined));
  test("asks again once all of it is typed", () => check("a = |", "b", "a = b|", undefined));
  test("is silent where the suffix differs", () => check("a = |;", "b", "a = |)", undefined));
  test("keeps that nothing is to be proposed", () => check("a = |", "", "a = |", ""));
  test("tells files apart", () => {
    const cache = new CompletionCache();
    cache.store(at("a|", "x.ts"), entry("b"));
    assert.equal(cache.find(at("a|", "y.ts")), undefined);
  });
  test("tells languages apart", () => {
    const cache = new CompletionCache();
    cache.store(at("a|", "untitled", "python"), entry("b"));
    assert.equal(cache.find(at("a|", "untitled", "ruby")), undefined);
  });
  test("keeps of several what the user types along", () => {
    const cache = new CompletionCache();
    cache.store(at("a = |"), entry("bc", "bd", "x"));
    assert.deepEqual(left(cache, at("a = |")), ["bc", "bd", "x"]);
    assert.deepEqual(left(cache, at("a = b|")), ["c", "d"]);
  });
  test("knows nothing of the rest of what was given up", () => {
    const cache = new CompletionCache();
    const written = [{ text: "bcd", tokens: [], unsure: true }];
    cache.store(at("a = |"), { written, alternatives: false });
    assert.deepEqual(left(cache, at("a = |")), ["bcd"]);
    assert.equal(left(cache, at("a = b|")), undefined);
  });
  test("forgets the oldest first, and all when cleared", () => {
    const cache = new CompletionCache();
    for (let i = 0; i <= 256; i++) cache.store(at(`${i}:|`), entry("x"));
    assert.equal(cache.find(at("0:|")), undefined);
    assert.deepEqual(left(cache, at("1:|")), ["x"]);
    cache.clear();
    assert.equal(cache.find(at("1:|")), undefined);
  });
  test("keeps no text longer than it has to tell a place by", () => {
    const held = heldBy(() => {
      const cache = new CompletionCache();
      for (let i = 0; i < 256; i++) {
        const text = `${"const answer = 42;\n".repeat(10_000)}const a${i} = `; // another one with each key
        const place = { prefix: text.slice(1), suffix: "" };
        cache.store({ ...place, path: "a.ts", languageId: "typescript" }, entry("x"));
      }
      return cache;
    });
    assert.ok(held < 8e6, `${held} bytes`);
  });
  test("gives the rest after any number of typed characters", () =>
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 90 }), fc.nat(89), (completion, cut) => {
        fc.pre(cut < completion.length && !completion.includes("|"));
        check("x = |", completion, `x = ${completion.slice(0, cut)}|`, completion.slice(cut));
      }),
    ));
});
