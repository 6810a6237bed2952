import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Completion } from "../../server/completion";
import { explanation } from "../../server/why";

const generated = {
  text: "b | c",
  stop: "end",
  tokens: [
    { text: "b |", logProbability: Math.log(0.5) },
    { text: "`c`\n", logProbability: Math.log(0.25) },
  ],
  generatedTokens: 2,
  promptTokens: 30,
  reusedTokens: 25,
  readTokens: 5,
  truncateMs: 0.1,
  readMs: 1.25,
  decodeMs: 3,
} as const;
const part = { source: null, path: "src/a.ts" };
const prompt = {
  tokens: new Uint32Array(30),
  featuresFrom: 29,
  parts: [
    { kind: "snippet", source: "import", path: "src/b.ts", start: 1, end: 20 },
    { kind: "prefix", ...part, start: 21, end: 29 },
  ],
} as const;
const completion: Completion = {
  proposals: [{ text: "b | c", confidence: 0.4567 }],
  source: "model",
  silence: null,
  written: "b | c",
  calls: [{ prompt, generated, prepareMs: 0.5 }],
  ms: 5,
};

function check(changes: Partial<Completion>, ...expected: RegExp[]) {
  const request = { invoked: false };
  const settings = { eagerness: "medium" as const };
  const text = explanation("Tiny", {
    completion: { ...completion, ...changes },
    request,
    settings,
  });
  for (const each of expected) assert.match(text, each);
}

suite("why this suggestion", () => {
  test("says what was shown to the model, and what it had read before", () =>
    check(
      {},
      /Tiny was shown 30 tokens\. 25 of them/,
      /\| Other code: imported here \| `src\/b\.ts` \| 19 \| 19 \|/,
      /\| What stands before the cursor \| `src\/a\.ts` \| 8 \| 4 \|/,
    ));
  test("says how sure the model was, in tokens that break no table", () =>
    check({}, /45\.7 %/, /\| `b \\\|` \| 50\.0 % \|/, /\| `` `c`\\n `` \| 25\.0 % \|/));
  test("says how long each step took", () => check({}, /\| reading 5 tokens \| 1\.3 ms \|/));
  test("says why a proposal was held back", () =>
    check(
      { proposals: [], silence: "held back: 10 % sure" },
      /^This was not shown: held back: 10 % sure\.$/m,
      /^```\nb \| c\n```$/m,
    ));
  test("says why nothing was asked for", () =>
    check(
      { proposals: [], silence: "in a comment", written: "", calls: [], source: "silent" },
      /^Nothing was proposed: in a comment\.$/m,
      /The model was not asked\./,
    ));
  test("says that it was known", () => check({ calls: [], source: "cache" }, /It was known/));
  test("tells of alternatives", () =>
    check(
      { proposals: [...completion.proposals, ...completion.proposals] },
      /There is 1 alternative\./,
    ));
  test("tells of the list of suggestions", () => {
    const request = { invoked: false, selected: { start: 2, text: "forEach" } };
    const settings = { eagerness: "medium" as const };
    assert.match(explanation("Tiny", { completion, request, settings }), /has `forEach` selected/);
  });
  test("shows code with a bar as it is, where no table holds it", () => {
    const request = { invoked: false, selected: { start: 2, text: "a|b" } };
    const settings = { eagerness: "medium" as const };
    assert.match(explanation("Tiny", { completion, request, settings }), /has `a\|b` selected/);
  });
  test("fences whatever the model wrote", () =>
    check({ written: "```js\na\n```" }, /^````\n```js\na\n```\n````$/m));
  test("has something to say before anything was asked", () =>
    assert.match(explanation("Tiny", undefined), /Nothing has been asked for/));
});
