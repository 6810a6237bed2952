// Completions from an endpoint on this machine: what is asked, what comes of it, and what becomes of
// one that does not do what it should.
import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { isAbort, RingsideError } from "../../../server/errors";
import type { GenerateOptions } from "../../../server/generator";
import { buildPrompt, type Snippet } from "../../../server/prompt";
import { EndpointClient, type Limits } from "../../../server/remote/client";
import { type Patience, RemoteEngine } from "../../../server/remote/engine";
import { at } from "../support";
import {
  answers,
  type Behaviour,
  begin,
  breaks,
  breaksAfter,
  choice,
  FakeEndpoint,
  quickLimits,
  quickPatience,
  refuses,
  sends,
  stalls,
  stallsAfter,
  writes,
  writesForEver,
} from "./endpoint";

const key = "sk-ringside-0123456789";

let endpoint: FakeEndpoint;
let changes: string[];

beforeEach(async () => {
  endpoint = await FakeEndpoint.start();
  changes = [];
});
afterEach(() => endpoint.stop());

interface Made {
  readonly model?: string;
  readonly templates?: boolean;
  readonly limits?: Partial<Limits>;
  readonly patience?: Partial<Patience>;
}

function engineOf({ model = "some-model", templates = false, limits, patience }: Made = {}) {
  const address = { base: new URL(endpoint.url), key };
  return new RemoteEngine({
    client: new EndpointClient(address, { ...quickLimits, ...limits }),
    model,
    templates,
    contextTokens: 4096,
    onChange: (why) => changes.push(why),
    patience: { ...quickPatience, ...patience },
  });
}

const wanted: GenerateOptions = {
  maxTokens: 16,
  features: [],
  singleLine: false,
  until: () => null,
};
const never = new AbortController().signal;
const other: Snippet = { path: "b.ts", text: "let b;\n" };

function ask(
  engine: RemoteEngine,
  options: Partial<GenerateOptions> = {},
  signal = never,
  snippets: readonly Snippet[] = [],
) {
  const prompt = buildPrompt(at("f(|);"), snippets, { tokens: 900 }, engine.vocabulary);
  return engine.generate(prompt, { ...wanted, ...options }, signal);
}

/** The text that comes of `behaviour`. */
async function check(
  behaviour: Behaviour,
  expected: string,
  options: Partial<GenerateOptions> = {},
) {
  endpoint.next = [behaviour];
  const engine = engineOf();
  assert.equal((await ask(engine, options)).text, expected);
  engine.close();
}

/** The error that comes of `behaviour`, which never holds the key. */
async function fails(behaviour: Behaviour, code: string, says: RegExp, made: Made = {}) {
  endpoint.always = behaviour;
  const engine = engineOf(made);
  const error = await ask(engine).then(
    ({ text }) => assert.fail(`It came to ${JSON.stringify(text)}.`),
    (error: unknown) => error,
  );
  engine.close();
  assert.ok(error instanceof RingsideError, String(error));
  assert.deepEqual([error.code, says.test(error.message)], [code, true], error.message);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    assert.ok(!`${cause.message}${cause.stack}${JSON.stringify(cause)}`.includes(key));
  }
}

suite("what an endpoint is asked", () => {
  test("a prompt with the model's own markers, where its name tells them", async () => {
    const engine = engineOf({ model: "Qwen/Qwen2.5-Coder-7B" });
    await ask(engine, {}, never, [other]);
    const { body, path, headers } = endpoint.posts[0]!;
    assert.equal(path, "/v1/completions");
    assert.equal(headers.authorization, `Bearer ${key}`);
    assert.equal(
      body.prompt,
      "<|repo_name|>workspace\n<|file_sep|>b.ts\nlet b;\n<|file_sep|>src/a.ts\n" +
        "<|fim_prefix|>f(<|fim_suffix|>);<|fim_middle|>",
    );
    assert.ok(body.stop.includes("<|endoftext|>"));
    assert.deepEqual(
      [body.model, body.max_tokens, body.temperature, body.logprobs, body.stream, "suffix" in body],
      ["Qwen/Qwen2.5-Coder-7B", 16, 0, 1, true, false],
    );
    assert.deepEqual(engine.says, ["Fills in the middle as qwen models do."]);
    engine.close();
  });
  test("prompt and suffix apart, where it does not, and where the server has templates", async () => {
    for (const made of [{}, { model: "qwen2.5-coder:1.5b", templates: true }]) {
      const engine = engineOf(made);
      await ask(engine, {}, never, [other]);
      const { body } = endpoint.posts.at(-1)!;
      assert.deepEqual([body.prompt, body.suffix, "stop" in body], ["f(", ");", false]);
      engine.close();
    }
  });
  test("the prefix alone from the time that the suffix is refused", async () => {
    endpoint.always = refuses("suffix", "suffix is not currently supported", writes("x"));
    const engine = engineOf();
    assert.equal((await ask(engine)).text, "x");
    assert.match(engine.says.join(), /goes on from what stands before/);
    assert.equal(engine.vocabulary.fim, null);
    await ask(engine);
    assert.deepEqual(
      endpoint.posts.map(({ body }) => "suffix" in body),
      [true, false, false],
    );
    assert.match(changes.join("\n"), /does not take "suffix": suffix is not currently supported/);
    engine.close();
  });
  test("no logprobs where they were refused once, the suffix as before", async () => {
    endpoint.always = refuses("logprobs", "logprobs are not supported", writes("x"), 422);
    const engine = engineOf();
    for (let i = 0; i < 2; i++) await ask(engine);
    assert.deepEqual(
      endpoint.posts.map(({ body }) => ["logprobs" in body, "suffix" in body]),
      [
        [true, true],
        [false, true],
        [false, true],
      ],
    );
    engine.close();
  });
  test("less and less, where the server does not say what it refuses", async () => {
    const strict = refuses("suffix", "bad", refuses("logprobs", "bad", writes("x")));
    endpoint.always = strict;
    const engine = engineOf();
    assert.equal((await ask(engine)).text, "x");
    assert.equal((await ask(engine)).text, "x");
    assert.equal(endpoint.posts.length, 4); // all; without logprobs; without suffix too; at once
    engine.close();
  });
  test("again on the same connection", async () => {
    const engine = engineOf();
    for (let i = 0; i < 3; i++) {
      await ask(engine);
      await delay(20); // from the end mark to the end of the answer
    }
    assert.equal(endpoint.connections, 1);
    engine.close();
  });
});

suite("what comes of an answer", () => {
  test("its text, whole", () => check(writes("va", "lue", ";"), "value;"));
  test("nothing of a marker, nor of what follows it, though it comes in pieces", async () => {
    endpoint.next = [writes("x<|fim", "_prefix|>y")];
    const engine = engineOf({ model: "qwen2.5-coder" });
    const heard: string[] = [];
    const until = (text: string) => {
      heard.push(text);
      return null;
    };
    assert.equal((await ask(engine, { until })).text, "x");
    assert.deepEqual(heard, ["x"]);
    engine.close();
  });
  test("what is no marker after all, once that is clear", async () => {
    endpoint.next = [writes("a <", "|fim_b", " <|f")];
    const engine = engineOf({ model: "qwen2.5-coder" });
    const heard: string[] = [];
    const until = (text: string) => {
      heard.push(text);
      return null;
    };
    assert.equal((await ask(engine, { until })).text, "a <|fim_b <|f");
    assert.deepEqual(heard, ["a ", "a <|fim_b", "a <|fim_b "]);
    engine.close();
  });
  test("one line where one is wanted", () =>
    check(writesForEver("\n a\n"), "\n a", { singleLine: true }));
  test("the text of an answer that ends without saying so", () =>
    check(sends(choice({ text: "x" })), "x"));
  test("the text before the end mark, whatever comes behind it", () =>
    check((response) => {
      begin(response);
      response.write(`${choice({ text: "x" })}data: [DONE]\n\n`);
      const timer = setInterval(() => response.write(choice({ text: "y" })), 2);
      response.on("close", () => clearInterval(timer));
    }, "x").then(() => endpoint.sawClosed()));
  test("log probabilities in either form, and what the server counts", async () => {
    const old = { text: "ab", logprobs: { tokens: ["a", "b"], token_logprobs: [-0.5, 0.1] } };
    const recent = { text: "c", logprobs: { content: [{ token: "c", logprob: -2 }] } };
    const details = { cached_tokens: 30 };
    const usage = { prompt_tokens: 40, completion_tokens: 4, prompt_tokens_details: details };
    const last = `data: ${JSON.stringify({ choices: [], usage })}\n\n`;
    endpoint.next = [
      sends(choice(old) + choice(recent) + choice({ text: "", finish_reason: "length" }) + last),
    ];
    const engine = engineOf();
    const generated = await ask(engine);
    assert.deepEqual(generated.tokens, [
      { text: "a", logProbability: -0.5 },
      { text: "b", logProbability: 0 },
      { text: "c", logProbability: -2 },
    ]);
    const { stop, promptTokens, reusedTokens, readTokens, generatedTokens } = generated;
    assert.deepEqual(
      { stop, promptTokens, reusedTokens, readTokens, generatedTokens },
      { stop: "maxTokens", promptTokens: 40, reusedTokens: 30, readTokens: 10, generatedTokens: 4 },
    );
    engine.close();
  });
  test("what is written until it is too unlikely, and the connection is closed", async () => {
    const token = (text: string, value: number) =>
      choice({ text, logprobs: { tokens: [text], token_logprobs: [value] } });
    const likely = token("a", -0.1) + token(" b", -0.1);
    endpoint.always = stallsAfter(likely + token(" c", -3) + token(" d", -0.1));
    const engine = engineOf({ limits: { idleMs: 5000 } });
    const { text, stop } = await ask(engine, { minLogProbability: -2 });
    assert.deepEqual([text, stop], ["a b c", "unsure"]);
    await endpoint.sawClosed();
    endpoint.always = sends(likely + token("\n", -0.1) + token("next", -9));
    assert.equal((await ask(engine, { minLogProbability: -2 })).text, "a b\nnext");
    endpoint.always = writes("a", "b"); // that does not say how likely it is
    assert.equal((await ask(engine, { minLogProbability: -2 })).text, "ab");
    engine.close();
  });
  test("no probabilities of tokens that are not the text", async () => {
    const spelt = { text: " a", logprobs: { tokens: ["Ġa"], token_logprobs: [-0.5] } };
    endpoint.next = [sends(choice(spelt))];
    const engine = engineOf();
    assert.deepEqual((await ask(engine)).tokens, []);
    engine.close();
  });
  test("what is kept once it is enough, and the connection is closed at once", async () => {
    const until = (text: string) => (text.length >= 6 ? text.slice(0, 5) : null);
    await check(writesForEver("ab"), "ababa", { until });
    await endpoint.sawClosed();
  });
});

suite("an endpoint that fails", () => {
  const stream = /said nothing for 150 ms in the middle/;

  test("by silence before its answer", () =>
    fails(stalls, "ENDPOINT_FAILED", /said nothing for 300 ms where an answer should begin/));
  test("by silence after the headers", () => fails(stallsAfter(""), "ENDPOINT_FAILED", stream));
  test("by silence in the middle", () =>
    fails(stallsAfter(choice({ text: "x" })), "ENDPOINT_FAILED", stream));
  test("by breaking off in the middle", () =>
    fails(breaksAfter(choice({ text: "x" })), "ENDPOINT_FAILED", /broke the connection off/));
  test("by not being there", async () => {
    const { url } = endpoint;
    await endpoint.stop();
    const engine = new RemoteEngine({
      client: new EndpointClient({ base: new URL(url), key }, quickLimits),
      ...{ model: "m", templates: false, contextTokens: 100, onChange: () => {} },
      patience: quickPatience,
    });
    await assert.rejects(ask(engine), { message: /nothing listens there \(ECONNREFUSED\)/ });
    engine.close();
    endpoint = await FakeEndpoint.start();
  });
  test("by what is no JSON", () => fails(sends("data: {oh\n\n"), "ENDPOINT_FAILED", /no JSON/));
  test("by JSON of the wrong types", async () => {
    const wrong: [unknown, RegExp][] = [
      ['"x"', /no object/],
      ["[]", /no object/],
      ['{"choices":{}}', /no list/],
      ['{"choices":["x"]}', /a choice that is no object/],
      ['{"choices":[{"text":7}]}', /whose text is none/],
    ];
    for (const [text, says] of wrong) {
      await fails(sends(`data: ${text}\n\n`), "ENDPOINT_FAILED", says);
    }
  });
  test("by what is no UTF-8", () =>
    fails(sends(Uint8Array.of(0x64, 0xff, 0xfe, 0x0a)), "ENDPOINT_FAILED", /no UTF-8/));
  test("by a line without an end", () => {
    const limits = { eventCharacters: 1000 };
    const long = sends(`data: ${"x".repeat(2000)}`);
    return fails(long, "ENDPOINT_FAILED", /an event of more than 1000 characters/, { limits });
  });
  test("by a stream without an end", () => {
    const limits = { streamBytes: 500 };
    const endless = writesForEver("x");
    return fails(endless, "ENDPOINT_FAILED", /more than 500 bytes/, { limits });
  });
  test("by keeping the connection alive and saying nothing", () => {
    const pings: Behaviour = (response) => {
      begin(response);
      const timer = setInterval(() => response.write(": ping\n\n"), 20);
      response.on("close", () => clearInterval(timer));
    };
    const limits = { wholeMs: 400 };
    return fails(pings, "ENDPOINT_FAILED", /did not end its answer within 400 ms/, { limits });
  });
  test("by a refusal whose words never end", () => {
    const wordless: Behaviour = (response) => {
      response.writeHead(401).write("no");
    };
    return fails(wordless, "ENDPOINT_UNAUTHORIZED", /wants another key/);
  });
  test("by an answer that is no stream", async () => {
    const json = /application\/json where a stream is wanted/;
    await fails(answers(200, { choices: [{ text: "x" }] }), "ENDPOINT_FAILED", json);
    await fails(
      (response) => response.writeHead(200).end("x"),
      "ENDPOINT_FAILED",
      /no content type where a stream/,
    );
  });
  test("by an error in the middle, in either form", async () => {
    const says = /It says: out of memory/;
    await fails(sends('data: {"error":"out of memory"}\n\n'), "ENDPOINT_FAILED", says);
    const nested = `data: {"error":{"message":"out of memory, ${key}"}}\n\n`;
    await fails(sends(nested), "ENDPOINT_FAILED", /It says: out of memory, …/);
  });
  test("by a refused key, which it repeats", () =>
    fails(
      answers(401, { error: { message: `Incorrect API key provided: ${key}` } }),
      "ENDPOINT_UNAUTHORIZED",
      /wants another key \(401\).*RINGSIDE_ENDPOINT_KEY.*It says: Incorrect API key provided: …$/,
    ));
  test("by not knowing the path", () =>
    fails(answers(404, "no such page"), "ENDPOINT_FAILED", /does not exist \(404\).*in \/v1/));
  test("by a prompt that is too long for it, at the first request", async () => {
    const words = { error: { message: "This model's maximum context length is 8 tokens" } };
    await fails(answers(400, words), "BAD_REQUEST", /Lower "ringside.contextTokens"/);
    assert.equal(endpoint.posts.length, 1);
  });
  test("by refusing whatever it is sent", () =>
    fails(answers(400, "no"), "BAD_REQUEST", /refuses the request \(400\)\. It says: no$/));
  test("by a redirect, which nothing follows", async () => {
    const elsewhere = await FakeEndpoint.start();
    for (const status of [301, 302, 307, 308]) {
      const to = answers(status, "", { location: `${elsewhere.url}/completions?k=${key}` });
      await fails(to, "ENDPOINT_FAILED", /redirects to http.*completions\?k=… \(3\d\d\)/);
    }
    assert.equal(elsewhere.connections, 0);
    await elsewhere.stop();
  });
});

suite("asking again", () => {
  /** How many requests it takes until `failures` are over, or the code that they end with. */
  async function tries(failures: Behaviour[], patience: Partial<Patience> = {}) {
    endpoint.next = failures;
    const engine = engineOf({ patience });
    const ended = await ask(engine).then(
      ({ text }) => text,
      ({ code }: RingsideError) => code,
    );
    engine.close();
    return [ended, endpoint.posts.length];
  }

  test("happens after what passes, before the answer has begun", async () => {
    for (const passing of [answers(502), answers(503), answers(504), answers(429), breaks]) {
      endpoint.heard.length = 0;
      assert.deepEqual(await tries([passing, passing]), ["value;", 3]);
    }
  });
  test("ends after the third try", async () =>
    assert.deepEqual(await tries([answers(503), answers(503), answers(503)]), [
      "ENDPOINT_FAILED",
      3,
    ]));
  test("does not happen after what does not pass", async () => {
    for (const lasting of [answers(500), answers(401), answers(404), sends("data: {\n\n")]) {
      endpoint.heard.length = 0;
      const [code, count] = await tries([lasting]);
      assert.match(String(code), /^ENDPOINT_/);
      assert.equal(count, 1);
    }
  });
  test("does not happen once the answer has begun", async () =>
    assert.deepEqual(await tries([breaksAfter(choice({ text: "x" }))]), ["ENDPOINT_FAILED", 1]));
  test("waits as long as the server asks, if the answer is still of use then", async () => {
    const busy = answers(429, {}, { "retry-after": "1" });
    const start = performance.now();
    const lateMs = 1500;
    const completion = { ...quickPatience.completion, lateMs };
    assert.deepEqual(await tries([busy], { completion }), ["value;", 2]);
    assert.ok(performance.now() - start >= 990);
  });
  test("does not happen for a completion that would come too late", async () => {
    const busy = answers(429, {}, { "retry-after": "3600" });
    assert.deepEqual(await tries([busy]), ["ENDPOINT_FAILED", 1]);
  });
  test("works after an error that does not pass by itself", async () => {
    endpoint.next = [answers(500)];
    const engine = engineOf();
    await assert.rejects(ask(engine), { code: "ENDPOINT_FAILED" });
    assert.equal((await ask(engine)).text, "value;");
    engine.close();
  });
  test("pauses after three failures, with one error for all that is asked meanwhile", async () => {
    endpoint.always = answers(500);
    const engine = engineOf();
    const errors: unknown[] = [];
    for (let i = 0; i < 5; i++) await ask(engine).catch((error: unknown) => errors.push(error));
    assert.equal(endpoint.posts.length, 3);
    assert.match((errors[2] as Error).message, /Completions pause for \d+ s\.$/);
    assert.ok(errors[3] === errors[2] && errors[4] === errors[2]);
    engine.close();
  });
  test("works again after a pause, by itself", async () => {
    endpoint.next = [answers(500), answers(500), answers(500)];
    const engine = engineOf({ patience: { pauses: { after: 3, firstMs: 40, longestMs: 40 } } });
    for (let i = 0; i < 4; i++) await assert.rejects(ask(engine));
    await delay(50);
    assert.equal((await ask(engine)).text, "value;");
    engine.close();
  });
});

suite("a completion that is cancelled", () => {
  async function cancelled(behaviour: Behaviour, afterMs: number, closes: number) {
    endpoint.always = behaviour;
    const engine = engineOf({ limits: { firstByteMs: 5000, idleMs: 5000 } });
    const controller = new AbortController();
    const asked = ask(engine, {}, controller.signal);
    setTimeout(() => controller.abort(), afterMs);
    await assert.rejects(asked, isAbort);
    await endpoint.sawClosed(closes);
    const before = endpoint.posts.length;
    await delay(30);
    assert.equal(endpoint.posts.length, before, "it was asked for again");
    endpoint.always = writes("x");
    assert.equal((await ask(engine)).text, "x"); // no failure: nothing pauses
    engine.close();
  }

  test("closes the connection before the answer", () => cancelled(stalls, 50, 1));
  test("closes the connection in the middle", () => cancelled(writesForEver("x"), 50, 1));
  test("is asked for no more while it waits for the next try", async () => {
    const completion = { attempts: 3, firstMs: 5000, longestMs: 5000, lateMs: 60_000 };
    endpoint.always = answers(503);
    const engine = engineOf({ patience: { completion } });
    const controller = new AbortController();
    const asked = ask(engine, {}, controller.signal);
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(asked, isAbort);
    assert.equal(endpoint.posts.length, 1);
    engine.close();
  });
  test("asks for nothing if it was cancelled before", async () => {
    const engine = engineOf();
    await assert.rejects(ask(engine, {}, AbortSignal.abort()), isAbort);
    assert.equal(endpoint.heard.length, 0);
    engine.close();
  });
  test("ends when the engine is closed", async () => {
    endpoint.always = stalls;
    const engine = engineOf({ limits: { firstByteMs: 5000 } });
    const asked = ask(engine);
    setTimeout(() => engine.close(), 30);
    await assert.rejects(asked, isAbort);
    await endpoint.sawClosed();
  });
});

suite("conversations", () => {
  const say = (engine: RemoteEngine, onText: (text: string) => void = () => {}) =>
    engine.chat([{ role: "user", content: "hello" }], { maxTokens: 32, onText }, never);

  test("are answered, and heard as they grow", async () => {
    endpoint.next = [writes("a", "b")];
    const engine = engineOf();
    const heard: string[] = [];
    const { text } = await say(engine, (grown) => heard.push(grown));
    assert.deepEqual([text, heard], ["ab", ["a", "ab"]]);
    const { path, body } = endpoint.posts[0]!;
    assert.equal(path, "/v1/chat/completions");
    assert.deepEqual(body.messages, [{ role: "user", content: "hello" }]);
    engine.close();
  });
  test("are not possible everywhere, which is said", async () => {
    for (const status of [404, 400]) {
      endpoint.always = answers(status, { detail: "no chat template" });
      const engine = engineOf();
      assert.equal(engine.canChat, true);
      await assert.rejects(say(engine), {
        code: "MODEL_UNSUPPORTED",
        message: /can't follow instructions.*no chat template.*endpointModel/,
      });
      assert.equal(engine.canChat, status === 400);
      engine.close();
    }
  });
  test("do not make completions pause", async () => {
    endpoint.next = Array(4).fill(answers(500));
    const engine = engineOf();
    for (let i = 0; i < 4; i++) await assert.rejects(say(engine));
    assert.equal((await ask(engine)).text, "value;");
    engine.close();
  });
});

suite("a proxy of the environment", () => {
  test("is never asked", async () => {
    const proxy = await FakeEndpoint.start();
    const names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    const before = names.map((name) => process.env[name]);
    for (const name of names) process.env[name] = proxy.origin;
    try {
      const engine = engineOf();
      assert.equal((await ask(engine)).text, "value;");
      engine.close();
      assert.equal(proxy.connections, 0);
    } finally {
      names.forEach((name, i) => {
        if (before[i] === undefined) delete process.env[name];
        else process.env[name] = before[i];
      });
      await proxy.stop();
    }
  });
});

suite("any stream", () => {
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(
      ...[
        "data: ",
        "\n",
        "\r\n\r\n",
        "[DONE]",
        ": x\n",
        '{"choices":[{"text":"',
        '"}]}',
        "\u{1F642}",
      ].map((text) => Buffer.from(text)),
    ),
    fc.json().map((json) => Buffer.from(`data: ${json}\n\n`)),
    fc.string().map((text) => Buffer.from(choice({ text }))),
  );

  test("gives text or a coded error", () =>
    fc.assert(
      fc.asyncProperty(fc.array(pieces, { maxLength: 12 }), async (parts) => {
        endpoint.always = (response) => {
          begin(response);
          for (const part of parts) response.write(part);
          response.end();
        };
        const engine = engineOf();
        try {
          assert.equal(typeof (await ask(engine)).text, "string");
        } catch (error) {
          assert.ok(error instanceof RingsideError, String(error));
          assert.notEqual(error.code, "INTERNAL");
        } finally {
          engine.close();
        }
      }),
      { numRuns: 150 },
    ));
  test("says the same wherever its bytes are parted", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 400 }), { maxLength: 6 }), async (cuts) => {
        const texts = ["é\u{1F642}", " = ", "[DONE]\r\n", "data: x"];
        const events = texts.map((text) => choice({ text })).join(": a comment\r\n\r\n");
        const bytes = Buffer.from(`${events}data: [DONE]\n\n`);
        const ends = [...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
        endpoint.always = async (response) => {
          begin(response);
          let start = 0;
          for (const end of ends) {
            response.write(bytes.subarray(start, end));
            start = end;
            await delay(1);
          }
          response.end();
        };
        const engine = engineOf();
        assert.equal((await ask(engine)).text, texts.join(""));
        engine.close();
      }),
      { numRuns: 40 },
    ));
});
