import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { statisticsPage } from "../../extension/statistics/page";
import type { Day, Statistics } from "../../server/protocol";

const counts = {
  ...{ shown: 200, accepted: 50, acceptedCharacters: 1234, typedAlong: 56, kept: 30 },
  ...{ lookedFor: 40, heldBack: 7, known: 9, modelCalls: 500, promptTokens: 1000 },
  ...{ reusedTokens: 970, generatedTokens: 4000, decodeMs: 2000, p50Ms: 12.3, p95Ms: 1234 },
};
const dayOf = (i: number): Day => ({ day: `2026-01-${String(i).padStart(2, "0")}`, ...counts });

/** The page for `days` days has each of `expected`. */
function check(days: number, ...expected: (string | RegExp)[]): string {
  const statistics: Statistics = {
    days: Array.from({ length: days }, (_, i) => dayOf(i + 1)),
    total: counts,
  };
  const page = statisticsPage(statistics, "N0nce");
  for (const each of expected) {
    if (typeof each === "string") assert.ok(page.includes(each), each);
    else assert.match(page, each);
  }
  return page;
}

suite("statistics page", () => {
  test("says what was counted", () =>
    void check(
      3,
      /Accepted<\/dt><dd>25 %<small>50 of 200 shown/,
      /a minute later<\/dt><dd>75 %<small>30 of 40 accepted/,
      /Keys saved<\/dt><dd>1234</,
      /within<\/dt><dd>12 ms<small>19 of 20 within 1\.2 s/,
      /Read before<\/dt><dd>97 %/,
      /Written<\/dt><dd>2000 tokens\/s<small>500 times; 9 answers were known/,
    ));
  test("has a row for each day, the newest first", () => {
    const page = check(3);
    const rows = [...page.matchAll(/<th scope="row">([^<]+)/g)].map(([, day]) => day);
    assert.deepEqual(rows, ["2026-01-03", "2026-01-02", "2026-01-01"]);
  });
  test("shows the last thirty days", () => {
    const page = check(31);
    assert.equal(page.match(/<th scope="row">/g)!.length, 30);
    assert.ok(!page.includes("2026-01-01"));
  });
  test("draws bars that the axis holds", () => {
    const heights = [...check(2).matchAll(/<rect [^>]*height="([\d.]+)"/g)].map(([, h]) =>
      Number(h),
    );
    assert.equal(heights.length, 4); // two charts of two days
    assert.ok(heights.every((height) => height > 0 && height <= 120));
  });
  test("says that there is nothing yet", () => {
    const empty = { ...counts, shown: 0, p50Ms: null };
    const page = statisticsPage({ days: [], total: empty }, "N0nce");
    assert.match(page, /Nothing has been proposed yet/);
    assert.doesNotMatch(page, /NaN|<svg|<table/);
  });
  test("knows no share of nothing", () => {
    const zero = Object.fromEntries(Object.keys(counts).map((key) => [key, 0])) as typeof counts;
    const none = { ...zero, p50Ms: null, p95Ms: null };
    const page = statisticsPage({ days: [{ day: "2026-01-01", ...none }], total: none }, "N0nce");
    assert.doesNotMatch(page, /NaN|Infinity|undefined|null/);
  });
  test("runs no script and asks for nothing", () => {
    const page = check(3, "default-src 'none'; style-src 'nonce-N0nce'");
    assert.doesNotMatch(page, /<script|https?:|<img|<link|\bon\w+=/);
    const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, href]) => href);
    assert.deepEqual(links, ["command:ringside.statistics", "command:ringside.clearStatistics"]);
  });
});
