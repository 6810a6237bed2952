import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { CompletionCache } from "../../server/cache";
import { complete, cursorAt, type Services, startAhead } from "../../server/completion";
import { Context } from "../../server/context/context";
import { Debounce } from "../../server/debounce";
import type { ModelEngine } from "../../server/engine";
import { LookAhead } from "../../server/lookahead";
import { defaultSettings } from "../../server/settings";
import { SyntaxTrees } from "../../server/trees";
import { at, read, vocabulary } from "./support";

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
  test("asks with the syntax that was found while it waited", async () => {
    const { services } = servicesThatWrite("b", { silentIn: ["string"] });
    for (const [found, silence] of [
      [true, "in a string"],
      [false, null],
    ] as const) {
      const asked: string[] = [];
      const soon = (uri: string, languageId: string, text: string) => {
        asked.push(uri);
        const isExact = found && asked.length > 1;
        const tree = services.trees.of(uri, languageId, isExact ? text : text.replace("`", "("));
        return { tree, isExact };
      };
      const trees = { soon } as unknown as SyntaxTrees;
      const request = requestAt("const a = `c |`;");
      const completion = await complete({ ...services, trees }, request, never);
      assert.deepEqual([completion.silence, asked.length], [silence, 2]);
    }
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
  test("parses no very large file, which takes longer with each key than the model", async () => {
    const { services } = servicesThatWrite("value + 1;");
    const parsed: number[] = [];
    const soon = (_: string, __: string, text: string) => {
      parsed.push(text.length);
      return { tree: null, isExact: true };
    };
    const trees = { soon } as unknown as SyntaxTrees;
    for (const lines of [1000, 50_000]) {
      const request = requestAt(`${"let line = 0;\n".repeat(lines)}const a = |\n`);
      const { proposals } = await complete({ ...services, trees }, request, never);
      assert.equal(proposals[0]?.text, "value + 1;");
    }
    assert.deepEqual(parsed, [14_011]);
  });
  test("reads line breaks as \\n", () => {
    const cursor = cursorAt({ text: "a\r\nb\rc", uri: "a", languageId: "c" }, 3);
    assert.deepEqual([cursor.prefix, cursor.suffix], ["a\n", "b\nc"]);
  });
});

/** An engine that writes these one after another, the last one for good. */
function writing(...rows: [text: string, probability: number][]) {
  const { services, prompts } = servicesThatWrite("");
  let calls = 0;
  const generate = async ({ tokens }: { tokens: Uint32Array }) => {
    prompts.push(tokens.length);
    const [text, probability] = rows[Math.min(calls++, rows.length - 1)]!;
    return { text, tokens: [{ text, logProbability: Math.log(probability) }] };
  };
  const engine = { ...services.engine, generate } as unknown as ModelEngine;
  return { services: { ...services, engine }, prompts };
}

suite("what is held back", () => {
  const medium = { eagerness: "medium" as const };

  /** What becomes of `text`, written with `probability`, at the end of `source`. */
  async function outcome(text: string, probability: number, more: object = {}, invoked = false) {
    const { services } = writing([text, probability]);
    const settings = { ...services.settings, ...medium, ...more };
    const request = requestAt("const a = |", "typescript", invoked);
    const { proposals, silence } = await complete({ ...services, settings }, request, never);
    return proposals.length > 0 ? "shown" : silence;
  }

  test("is what the model is unsure of", async () => {
    assert.equal(await outcome("b + 1;", 0.3), "shown");
    assert.match(String(await outcome("b + 1;", 0.2)), /^held back: 20 % sure/);
    assert.equal(await outcome("b + 1;", 0.2, { eagerness: "high" }), "shown");
    assert.equal(await outcome("b + 1;", 0.001, { eagerness: "always" }), "shown");
  });
  test("is nothing where someone asked", async () =>
    assert.equal(await outcome("b + 1;", 0.01, {}, true), "shown"));
  test("is what only closes", async () =>
    assert.equal(await outcome("];", 0.9), "the model has nothing to say here"));
  test("comes once the unsure part is typed", async () => {
    const { services } = writing(["value + 1;", 0.2]);
    const tokens = [
      { text: "value", logProbability: Math.log(0.2) },
      { text: " + 1;", logProbability: Math.log(0.9) },
    ];
    const generate = async () => ({ text: "value + 1;", tokens });
    const engine = { ...services.engine, generate } as unknown as ModelEngine;
    const shown = async (source: string) =>
      (await complete({ ...services, engine }, requestAt(source), never)).proposals[0]?.text;
    assert.equal(await shown("a = |"), undefined);
    assert.equal(await shown("a = value|"), " + 1;");
  });
});

suite("what the model gives up", () => {
  /** An engine that gives up what is less likely than asked; the least that each call asked for. */
  function givingUp(probability: number) {
    const { services } = servicesThatWrite("");
    const asked: (number | undefined)[] = [];
    const generate = async (_: unknown, options: { minLogProbability?: number }) => {
      asked.push(options.minLogProbability);
      const logProbability = Math.log(probability);
      const unsure = logProbability < (options.minLogProbability ?? -Infinity);
      const text = unsure ? "val" : "value;";
      return { text, tokens: [{ text, logProbability }], stop: unsure ? "unsure" : "end" };
    };
    const engine = { ...services.engine, generate } as unknown as ModelEngine;
    return { services: { ...services, engine }, asked };
  }

  test("is not shown, and not asked for again", async () => {
    const { services, asked } = givingUp(0.1);
    for (let i = 0; i < 2; i++) {
      const { silence } = await complete(services, requestAt("a = |"), never);
      assert.match(String(silence), /^held back: 10 % sure/);
    }
    assert.deepEqual(asked, [Math.log(0.25)]);
  });
  test("is not shown either where what is left of it is likely", async () => {
    const { services } = servicesThatWrite("");
    const tokens = [
      { text: "b", logProbability: Math.log(0.9) },
      { text: ")", logProbability: Math.log(0.1) }, // which the suffix has already
    ];
    const generate = async () => ({ text: "b)", tokens, stop: "unsure" });
    const engine = { ...services.engine, generate } as unknown as ModelEngine;
    const found = await complete({ ...services, engine }, requestAt("f(a, |);"), never);
    assert.deepEqual([found.written, found.proposals], ["b", []]);
    assert.match(String(found.silence), /^held back: the line/);
  });
  test("is asked for again once its start is typed", async () => {
    const { services, asked } = givingUp(0.1);
    for (const source of ["a = |", "a = v|"]) await complete(services, requestAt(source), never);
    assert.equal(asked.length, 2);
  });
  test("is written whole for who asks by key", async () => {
    const { services, asked } = givingUp(0.1);
    await complete(services, requestAt("a = |"), never);
    const request = requestAt("a = |", "typescript", true);
    const { proposals } = await complete(services, request, never);
    assert.equal(proposals[0]?.text, "value;");
    assert.deepEqual(asked, [Math.log(0.25), undefined]);
  });
});

suite("the most lines", () => {
  test("are the settings'", async () => {
    const ofLines = async (maxLines: number | null) => {
      const { services } = servicesThatWrite("\n  a();\n  b();\n}", { maxLines });
      const { proposals } = await complete(services, requestAt("function f() {|\n"), never);
      return proposals[0]?.text;
    };
    assert.equal(await ofLines(null), "\n  a();\n  b();\n}");
    assert.equal(await ofLines(2), "\n  a();\n  b();");
    assert.equal(await ofLines(1), "\n  a();");
  });
});

suite("where completions are not wanted", () => {
  async function silence(source: string, settings: object, languageId = "typescript") {
    const { services } = servicesThatWrite("value;", settings);
    return (await complete(services, requestAt(source, languageId), never)).silence;
  }
  const silentIn = (...kinds: string[]) => ({ silentIn: kinds });

  test("is silent in comments and strings where told so", async () => {
    const [comment, string] = ["// a |\n", 'const a = "b |";'];
    assert.equal(await silence(comment, silentIn("comment")), "in a comment");
    assert.equal(await silence(comment, silentIn("string")), null);
    assert.equal(await silence(string, silentIn("string")), "in a string");
    assert.equal(await silence(string, silentIn("comment")), null);
    assert.equal(await silence("# a |\n", silentIn("comment"), "python"), "in a comment");
    assert.equal(await silence("const a = |", silentIn("comment", "string")), null);
  });
  test("is silent in a file that no model is shown, even when asked", async () => {
    const { services, prompts } = servicesThatWrite("value;");
    const { document, ...request } = requestAt("PASSWORD=|", "dotenv", true);
    const secret = { ...request, document: { ...document, uri: "file:///p/.env" } };
    const { silence } = await complete(services, secret, never);
    assert.match(String(silence), /usually holds secrets \(\.env\)$/);
    assert.equal(prompts.length, 0);
  });
});

suite("alternatives", () => {
  /** Asks by key where the model writes `texts` one after another: what is proposed, and the calls made. */
  async function check(texts: string[], expected: string[], calls: number) {
    const { services, prompts } = writing(...texts.map((text): [string, number] => [text, 0.5]));
    const request = { ...requestAt("a = |", "typescript", true), alternatives: true };
    const { proposals } = await complete(services, request, never);
    assert.deepEqual(
      proposals.map(({ text }) => text),
      expected,
    );
    assert.equal(prompts.length, calls);
    return { services, request, prompts };
  }

  test("are two more", () => check(["b;", "c;", "d;", "e;"], ["b;", "c;", "d;"], 3).then(() => {}));
  test("are none twice", () =>
    check(["b;", "b;", " b;", "c;", "c;"], ["b;", "c;"], 5).then(() => {}));
  test("are not asked for again", async () => {
    const { services, request, prompts } = await check(["b;", "c;", "d;"], ["b;", "c;", "d;"], 3);
    assert.equal((await complete(services, request, never)).proposals.length, 3);
    assert.equal(prompts.length, 3);
  });
  test("come beside what was known", async () => {
    const { services, prompts } = writing(["b;", 0.9], ["c;", 0.9], ["d;", 0.9]);
    await complete(services, requestAt("a = |"), never);
    const request = { ...requestAt("a = |", "typescript", true), alternatives: true };
    const { proposals } = await complete(services, request, never);
    assert.deepEqual(
      proposals.map(({ text }) => text),
      ["b;", "c;", "d;"],
    );
    assert.equal(prompts.length, 3);
  });
});

suite("with a list of suggestions open", () => {
  test("goes on from what the list has selected", async () => {
    const seen: string[] = [];
    const { services } = servicesThatWrite("(b);");
    const generate = async ({ tokens }: { tokens: Uint32Array }) => {
      seen.push(read(tokens));
      return { text: "(b);", tokens: [] };
    };
    const engine = { ...services.engine, generate } as unknown as ModelEngine;
    const request = {
      ...requestAt("a.fo|"),
      selected: { start: 2, text: "forEach" },
    };
    const { proposals } = await complete({ ...services, engine }, request, never);
    assert.equal(proposals[0]?.text, "(b);");
    assert.match(seen[0]!, /a\.forEach<middle>$/);
  });
});

suite("writing ahead of what is accepted", () => {
  test("has the next proposal before it is asked for", async () => {
    const { services, prompts } = writing(["b;", 0.9], ["c;", 0.9]);
    const request = requestAt("a = |\n");
    const { proposals } = await complete(services, request, never);
    startAhead(services, request, proposals[0]!);
    const next = await complete(services, requestAt("a = b;|\n"), never);
    assert.deepEqual([next.source, next.proposals[0]?.text], ["cache", "c;"]);
    assert.equal(prompts.length, 2);
  });
  test("takes what was only proposed for no place that the user has seen or asks about", async () => {
    const { services } = writing(["rejectedProposal();", 0.9], ["c;", 0.9], ["d;", 0.9]);
    const asked: string[] = [];
    services.context.useDefinitions({
      definitionsNear: async ({ text }) => {
        asked.push(text);
        return [];
      },
    });
    const lines = "let line = 0;\n".repeat(9);
    const request = requestAt(`${lines}|\n`);
    const { proposals } = await complete(services, request, never);
    startAhead(services, request, { ...proposals[0]!, text: `${lines}rejectedProposal();` });
    await new Promise((resolve) => setTimeout(resolve, 400)); // beyond the pause
    const seen: string[] = [];
    const gathered = services.context.gather({
      ...{ document: { ...requestAt("|").document, uri: "file:///b.ts" }, offset: 0, others: [] },
      ...{ promptTokens: 100, budgetTokens: 2000, count: () => 1 },
    });
    for (const { text } of gathered) seen.push(text);
    assert.doesNotMatch(seen.join(""), /rejectedProposal/);
    assert.match(seen.join(""), /let line/);
    assert.doesNotMatch(asked.join(""), /rejectedProposal/);
  });
  test("is given up for anything else", async () => {
    const { services, prompts } = writing(["b;", 0.9], ["c;", 0.9]);
    const request = requestAt("a = |\n");
    const { proposals } = await complete(services, request, never);
    startAhead(services, request, proposals[0]!);
    await complete(services, requestAt("x = |\n"), never);
    await new Promise((resolve) => setTimeout(resolve, 400)); // beyond the pause
    assert.equal(prompts.length, 2);
  });
});
