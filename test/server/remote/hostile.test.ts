// An endpoint on this machine that does not do what it should: what is said of it, when it is asked
// again, and what becomes of a completion that nobody wants any more.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isAbort, RingsideError } from "../../../server/errors";
import { EndpointClient } from "../../../server/remote/client";
import { type Patience, RemoteEngine } from "../../../server/remote/engine";
import { ask, endpoint, engineOf, key, type Made, useEndpoint } from "./asking";
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
  sends,
  stalls,
  stallsAfter,
  writes,
  writesForEver,
} from "./endpoint";

useEndpoint();

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
    const told = `${cause.message}${cause.stack}${JSON.stringify(cause)}`;
    assert.ok(!told.includes(key.slice(0, 8)), told);
  }
}

suite("an endpoint that fails", () => {
  const limits = { firstByteMs: 300, idleMs: 150 };
  const inTheMiddle = /said nothing for 150 ms in the middle/;

  test("by silence before its answer", () =>
    fails(stalls, "ENDPOINT_FAILED", /nothing for 300 ms where an answer should/, { limits }));
  test("by silence after the headers", () =>
    fails(stallsAfter(""), "ENDPOINT_FAILED", inTheMiddle, { limits }));
  test("by silence in the middle", () =>
    fails(stallsAfter(choice({ text: "x" })), "ENDPOINT_FAILED", inTheMiddle, { limits }));
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
    return fails(wordless, "ENDPOINT_UNAUTHORIZED", /wants another key/, { limits });
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
  test("by an answer that is no stream and never ends: the connection is closed", async () => {
    const pages: Behaviour = (response) => {
      response.writeHead(200, { "content-type": "text/html" });
      const timer = setInterval(() => response.write("x".repeat(10_000)), 1);
      response.on("close", () => clearInterval(timer));
    };
    endpoint.always = pages;
    const engine = engineOf();
    await assert.rejects(ask(engine), { message: /text\/html where a stream is wanted/ });
    await endpoint.sawClosed();
    engine.close();
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
  test("by words that are cut within the key, or have it as JSON may write it", async () => {
    const message = `${"x".repeat(290)}${key}`;
    await fails(sends(`data: {"error":"${message}"}\n\n`), "ENDPOINT_FAILED", /x…$/);
    await fails(answers(500, { message }), "ENDPOINT_FAILED", /x…$/);
    const escaped = key.replace("-", "\\u002d");
    await fails(answers(401, `{"error":"no ${escaped}"}`), "ENDPOINT_UNAUTHORIZED", /no …$/);
  });
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
