import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { CompletionCache } from "../../server/cache";
import { complete, cursorAt, type Services } from "../../server/completion";
import { Context } from "../../server/context/context";
import { Debounce } from "../../server/debounce";
import type { ModelEngine } from "../../server/engine";
import { LookAhead } from "../../server/lookahead";
import { defaultSettings } from "../../server/settings";
import { SyntaxTrees } from "../../server/trees";
import { at, vocabulary } from "./support";

/** Services whose engine always writes `text`; `prompts` has the size of each prompt it was given. */
function servicesThatWrite(text: string, settings = {}) {
  const prompts: number[] = [];
  const engine = {
    contextTokens: 500,
    vocabulary,
    generate: async ({ tokens }: { tokens: Uint32Array }) => {
      prompts.push(tokens.length);
      return { text, tokens: [] };
    },
  } as unknown as ModelEngine;
  const services: Services = {
    settings: { ...defaultSettings, debounceMs: 0, ...settings },
    engine,
    cache: new CompletionCache(),
    context: new Context(),
    trees: new SyntaxTrees(),
    debounce: new Debounce(),
    lookAhead: new LookAhead(),
    tuning: null,
  };
  return { services, prompts };
}

function requestAt(source: string, languageId = "typescript", invoked = false) {
  const { prefix, suffix } = at(source);
  const document = { uri: "file:///a.ts", languageId, version: 1, text: prefix + suffix };
  return { document, offset: prefix.length, others: [], invoked };
}

const never = new AbortController().signal;

/** Asks at each of `sources` in turn: the last text, and how often the model was called. */
async function check(sources: string[], settings: object, expected: string, calls: number) {
  const { services, prompts } = servicesThatWrite("value + 1;", settings);
  let text = "";
  for (const source of sources) {
    const { proposals } = await complete(services, requestAt(source), never);
    text = proposals[0]?.text ?? "";
  }
  assert.deepEqual([text, prompts.length], [expected, calls]);
}

suite("completion", () => {
  test("asks the model", () => check(["const a = |"], {}, "value + 1;", 1));
  test("asks once for one place", () => check(["a = |", "a = |"], {}, "value + 1;", 1));
  test("asks nothing while the user types along", () =>
    check(["a = |", "a = v|", "a = val|"], {}, "ue + 1;", 1));
  test("asks again once the user goes another way", () =>
    check(["a = |", "a = x|"], {}, "value + 1;", 2));
  test("is silent inside a word", () => check(["a = |b"], {}, "", 0));
  test("is silent when off", () => check(["a = |"], { enabled: false }, "", 0));
  test("is silent in a disabled language", () =>
    check(["a = |"], { disabledLanguages: ["typescript"] }, "", 0));
  test("rejects once aborted, before the model is asked", async () => {
    const { services, prompts } = servicesThatWrite("b", { debounceMs: 1000 });
    const controller = new AbortController();
    const answer = complete(services, requestAt("a = |"), controller.signal);
    controller.abort();
    await assert.rejects(answer, { name: "AbortError" });
    assert.equal(prompts.length, 0);
  });
  test("waits for more keys, but not when invoked", async () => {
    const { services, prompts } = servicesThatWrite("b", { debounceMs: 40 });
    const answer = complete(services, requestAt("a = |"), never);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(prompts.length, 0);
    await answer;
    assert.equal(prompts.length, 1);
    const slow = servicesThatWrite("b", { debounceMs: 5000 });
    await complete(
      slow.services,
      requestAt("a = |", "typescript", true),
      AbortSignal.timeout(4000),
    );
    assert.equal(slow.prompts.length, 1);
  });
  test("leaves room for the completion in the model's context", async () => {
    const { services, prompts } = servicesThatWrite("b");
    for (let lines = 500; lines < 532; lines++) {
      await complete(
        services,
        requestAt(`//${lines}\n${"let a;\n".repeat(250)}${"\n;".repeat(lines - 499)}|`),
        never,
      );
    }
    const longest = Math.max(...prompts);
    assert.ok(longest > 400 && longest + defaultSettings.maxTokens <= 500, `${longest} tokens`);
  });
  test("reads line breaks as \\n", () => {
    const cursor = cursorAt({ text: "a\r\nb\rc", uri: "a", languageId: "c" }, 3);
    assert.deepEqual([cursor.prefix, cursor.suffix], ["a\n", "b\nc"]);
  });
});
