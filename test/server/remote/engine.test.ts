// Completions and conversations from an endpoint on this machine: what is asked, and what comes of it.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { confidenceOf } from "../../../server/confidence";
import { RingsideError } from "../../../server/errors";
import type { GenerateOptions } from "../../../server/generator";
import type { Snippet } from "../../../server/prompt";
import type { RemoteEngine } from "../../../server/remote/engine";
import { ask, changes, endpoint, engineOf, key, never, useEndpoint } from "./asking";
import {
  answers,
  type Behaviour,
  begin,
  choice,
  FakeEndpoint,
  refuses,
  sends,
  stallsAfter,
  writes,
  writesForEver,
} from "./endpoint";

useEndpoint();

const other: Snippet = { source: "tab", path: "b.ts", text: "let b;\n" };

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
  test("a field under the name that the server wants", async () => {
    const says = "'max_tokens' is not supported with this model. Use 'max_completion_tokens'.";
    endpoint.always = refuses("max_tokens", says, writes("x"));
    const engine = engineOf();
    for (let i = 0; i < 2; i++) assert.equal((await ask(engine)).text, "x");
    const limits = endpoint.posts.map(({ body }) => [body.max_tokens, body.max_completion_tokens]);
    assert.deepEqual(limits, [
      [16, undefined],
      [undefined, 16],
      [undefined, 16],
    ]);
    assert.equal(endpoint.posts[1]!.body.logprobs, 1);
    assert.equal(endpoint.posts[1]!.body.suffix, ");");
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
  test("how likely characters are that are split among tokens", async () => {
    const token = (said: string, name: string, value: number) =>
      choice({ text: said, logprobs: { tokens: [name], token_logprobs: [value] } });
    const ends = token(" b", " b", -0.1) + token(" c", " c", -0.1);
    for (const [first, second] of [
      ["bytes:\\xe4\\xb8", "bytes:\\xad"],
      ["\uFFFD", "\uFFFD"],
      ["", "中"],
    ] as const) {
      endpoint.next = [sends(token("", first, -2.5) + token("中", second, -0.5) + ends)];
      const engine = engineOf();
      const { text, stop } = await ask(engine, { minLogProbability: -2 });
      assert.deepEqual([text, stop], ["中", "unsure"]);
      endpoint.next = [sends(token("", first, -2.5) + token("中", second, -0.5) + ends)];
      const { tokens } = await ask(engine);
      assert.equal(tokens.map((each) => each.text).join(""), "中 b c");
      assert.ok(Math.abs(confidenceOf(tokens, 0, 5) - Math.exp(-3.2)) < 1e-9);
      engine.close();
    }
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

suite("prompts that are too long", () => {
  test("do not make completions of other documents pause", async () => {
    const message = "This model's maximum context length is 512 tokens";
    endpoint.next = Array(4).fill(answers(400, { error: { message } }));
    const engine = engineOf();
    for (let i = 0; i < 4; i++) await assert.rejects(ask(engine), { code: "BAD_REQUEST" });
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
