// From the settings to a session that completes by an endpoint, or says why it does not.
import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isAbort } from "../../../server/errors";
import type { Settings, Status } from "../../../server/protocol";
import { endpointBase, keyWarning, openEndpoint } from "../../../server/remote/open";
import { Session } from "../../../server/session";
import { defaultSettings } from "../../../server/settings";
import {
  answers,
  begin,
  choice,
  FakeEndpoint,
  quickLimits,
  quickPatience,
  refuses,
  writes,
} from "./endpoint";

let endpoint: FakeEndpoint;
beforeEach(async () => {
  endpoint = await FakeEndpoint.start();
});
afterEach(() => endpoint.stop());

/** A session with `settings`, once it has loaded, and what it said. */
async function start(settings: Partial<Settings> = {}, keys: Record<string, string> = {}) {
  const statuses: Status[] = [];
  const logs: string[] = [];
  const listener = {
    status: (status: Status) => statuses.push(status),
    log: (message: string) => logs.push(message),
    textOf: () => undefined,
    activity: () => {},
  };
  const keyOf = async (origin: string) => keys[origin] ?? null;
  const session = new Session("/models/none", listener, undefined, keyOf);
  await session.load({ ...defaultSettings, endpoint: endpoint.url, ...settings });
  return { session, statuses, logs };
}

type Started = Awaited<ReturnType<typeof start>>;

async function ask(
  { session }: Started,
  text: string,
  settings: Partial<Settings> = {},
): Promise<string> {
  const { engine } = session;
  if (engine === null) return "";
  const document = { uri: "file:///a.ts", languageId: "typescript", version: 1, text };
  const request = { document, offset: text.length, others: [], invoked: true };
  const at = { uri: document.uri, offset: text.length };
  try {
    const { signal } = new AbortController();
    const [first] = await session.complete(
      request,
      at,
      { ...defaultSettings, ...settings },
      signal,
    );
    return first?.text ?? "";
  } catch (error) {
    if (!isAbort(error)) session.completionFailed(error, engine);
    return "";
  }
}

suite("settings that are changed while an endpoint is used", () => {
  test("hold from then on", async () => {
    const started = await start({ maxTokens: 48 });
    const sent = async (maxTokens: number) => {
      const settings = { endpoint: endpoint.url, maxTokens };
      await started.session.load({ ...defaultSettings, ...settings });
      await ask(started, `a${maxTokens} = `, settings);
      return endpoint.posts.at(-1)!.body.max_tokens;
    };
    for (const maxTokens of [48, 64, 20]) assert.equal(await sent(maxTokens), maxTokens);
    started.session.close();
  });
});

/** The status that `settings` lead to: its says, or its code and message. */
async function check(settings: Partial<Settings>, expected: RegExp, keys = {}) {
  const { session, statuses } = await start(settings, keys);
  const last = statuses.at(-1)!;
  assert.notEqual(last.kind, "loading");
  const said =
    last.kind === "ready"
      ? `${last.model} on ${last.device}: ${last.says.join(" ")}`
      : last.kind === "failed" && `${last.code}: ${last.message}`;
  assert.match(String(said), expected);
  session.close();
}

suite("a session with an endpoint", () => {
  test("completes by it, with the first model that it lists", async () => {
    endpoint.models = { data: [{ id: "qwen2.5-coder-7b", max_model_len: 2000 }, { id: "other" }] };
    const started = await start();
    const { session, statuses } = started;
    const last = statuses.at(-1)!;
    assert.ok(last.kind === "ready");
    assert.deepEqual([last.model, last.device], ["qwen2.5-coder-7b", new URL(endpoint.url).host]);
    assert.match(last.says.join(" "), /^Completes in about \d+ ms here.*as qwen models do\.$/);
    assert.equal(session.engine!.contextTokens, 2000);
    assert.equal(await ask(started, "a = "), "value;");
    assert.match(endpoint.posts.at(-1)!.body.prompt, /^<\|fim_prefix\|>a = <\|fim_suffix\|>/);
    session.close();
  });
  test("uses the model that the settings name, which it need not list", async () => {
    await check({ endpointModel: "mine" }, /^mine on /);
    endpoint.models = { data: [] };
    await check({ endpointModel: "mine" }, /^mine on /);
  });
  test("passes over what is no name of a model", async () => {
    const odd = [null, 7, {}, { id: 7 }, { id: "" }, { id: "a\nb" }, { id: "x".repeat(201) }];
    endpoint.models = { data: [...odd, { id: "mine", max_model_len: "many" }] };
    await check({}, /^mine on /);
    for (const models of [null, [], { data: {} }, { data: odd }]) {
      endpoint.models = models;
      await check({}, /^MODEL_NOT_FOUND: .*lists no model/);
    }
  });
  test("says how it fills in the middle", async () => {
    await check({}, /The endpoint fills in the middle itself/);
    endpoint.always = refuses("suffix", "suffix is not currently supported", writes("x"));
    await check({}, /goes on from what stands before the cursor/);
  });
  test("finds out that a suffix is only given back", async () => {
    // As text-generation-inference and transformers do.
    endpoint.always = (response, { body }) => {
      begin(response);
      response.write(choice({ text: "items" }));
      if (body.suffix !== undefined) response.write(choice({ text: body.suffix }));
      response.end(choice({ text: "", finish_reason: "stop" }));
    };
    const started = await start();
    const last = started.statuses.at(-1)!;
    assert.ok(last.kind === "ready");
    assert.match(last.says.join(" "), /goes on from what stands before the cursor/);
    assert.equal(await ask(started, "a = "), "items");
    assert.equal("suffix" in endpoint.posts.at(-1)!.body, false);
    started.session.close();
  });
  test("leaves a model's markers to a server that has templates", async () => {
    endpoint.models = { data: [{ id: "qwen2.5-coder:1.5b", owned_by: "library" }] };
    await check({}, /The endpoint fills in the middle itself/);
    endpoint.models = { data: [{ id: "qwen2.5-coder:q4_k_m", owned_by: "llamacpp" }] };
    await check({}, /as qwen models do/);
  });
  test("says what is wrong with its address, its models or its key", async () => {
    await check({ endpoint: "http://user:pass@host/v1" }, /^BAD_REQUEST: .*without login/);
    await check(
      { endpointModel: null, endpoint: `${endpoint.origin}/v2` },
      /v2\/models does not exist/,
    );
    endpoint.models = { data: [] };
    await check({}, /^MODEL_NOT_FOUND: .*lists no model/);
    endpoint.models = { data: [{ id: "a" }, { id: "b" }] };
    endpoint.always = answers(404, { error: { message: "The model `c` does not exist." } });
    await check({ endpointModel: "c" }, /^MODEL_NOT_FOUND: The model c .*It lists a, b\.$/);
    endpoint.always = answers(401);
    await check({}, /^ENDPOINT_UNAUTHORIZED: /);
    const keys = { [endpoint.origin]: "two\nlines" };
    await check({}, /^ENDPOINT_UNAUTHORIZED: The endpoint's key holds/, keys);
  });
  test("sends the key of that origin alone", async () => {
    const elsewhere = { "http://elsewhere:8000": "sk-other" };
    (await start({}, elsewhere)).session.close();
    assert.ok(endpoint.heard.every(({ headers }) => headers.authorization === undefined));
    (await start({}, { [endpoint.origin]: "sk-mine" })).session.close();
    assert.equal(endpoint.posts.at(-1)!.headers.authorization, "Bearer sk-mine");
  });
  test("opens it anew with another key, and only for its own origin", async () => {
    const keys: Record<string, string> = {};
    endpoint.always = (response, heard) =>
      (heard.headers.authorization === "Bearer sk-new" ? writes("x") : answers(401))(
        response,
        heard,
      );
    const { session, statuses } = await start({}, keys);
    assert.equal(statuses.at(-1)!.kind, "failed");
    keys[endpoint.origin] = "sk-new";
    session.keyChanged("http://elsewhere:8000");
    await session.load({ ...defaultSettings, endpoint: endpoint.url });
    assert.equal(statuses.at(-1)!.kind, "failed");
    session.keyChanged(endpoint.origin);
    await session.load({ ...defaultSettings, endpoint: endpoint.url });
    assert.equal(statuses.at(-1)!.kind, "ready");
    session.close();
  });
  test("goes back to a model of this machine", async () => {
    const { session, statuses } = await start();
    await session.load({ ...defaultSettings, endpoint: null });
    const last = statuses.at(-1)!;
    assert.equal(last.kind === "failed" && last.code, "MODEL_NOT_FOUND"); // of this test's machine
  });
  test("says that completions fail once, and that they work again", async () => {
    const started = await start();
    endpoint.always = answers(500);
    for (const text of ["a", "b", "c", "d", "e"])
      assert.equal(await ask(started, `${text} = `), "");
    const failures = started.statuses.filter(({ kind }) => kind === "failed");
    assert.equal(failures.length, 3); // each failure, and nothing in the pause
    assert.match(JSON.stringify(failures.at(-1)), /Completions pause for/);
    started.session.close();
  });
});

suite("opening an endpoint", () => {
  const wishes = { model: null, key: null, contextTokens: 100, contextLimit: 4096, maxTokens: 8 };
  const quick = { ...wishes, limits: quickLimits, patience: quickPatience };

  /** Opens the endpoint at `url`, which fails as expected until `mend` is done. */
  async function waits(url: string, expected: RegExp, mend: () => unknown) {
    const failures: unknown[] = [];
    const listener = { log: () => {}, changed: () => {}, failed: (e: unknown) => failures.push(e) };
    const signal = AbortSignal.timeout(5000);
    const between = { firstMs: 5, longestMs: 20 };
    const opening = openEndpoint({ ...quick, endpoint: url }, listener, signal, between);
    while (failures.length < 2) await delay(5, undefined, { signal });
    assert.match(String(failures[0]), expected);
    await mend();
    const { engine } = await opening;
    assert.equal(engine.name, "some-model");
    engine.close();
  }

  test("waits for one that is not there yet, and tells of it", async () => {
    const { url } = endpoint;
    await endpoint.stop();
    await waits(url, /nothing listens there/, async () => {
      endpoint = await FakeEndpoint.start(Number(new URL(url).port));
    });
  });
  test("waits while something stands between that answers in its place", async () => {
    for (const [between, expected] of [
      [answers(200, "<html>Sign in</html>", { "content-type": "text/html" }), /OpenAI-compatible/],
      [answers(302, "", { location: "http://portal/" }), /redirects to http:\/\/portal/],
      [answers(500), /fails \(500\)/],
    ] as const) {
      endpoint.between = between;
      await waits(endpoint.url, expected, () => {
        endpoint.between = null;
      });
    }
  });
  test("waits for no other answer to what only the user can change", async () => {
    const listener = { log: () => {}, changed: () => {}, failed: () => {} };
    for (const status of [400, 401, 403, 404, 405, 422]) {
      endpoint.between = answers(status);
      const signal = AbortSignal.timeout(5000);
      await assert.rejects(openEndpoint({ ...quick, endpoint: endpoint.url }, listener, signal), {
        status,
      });
    }
  });
  test("ends when another is chosen meanwhile", async () => {
    endpoint.always = answers(503);
    const controller = new AbortController();
    const listener = { log: () => {}, changed: () => {}, failed: () => controller.abort() };
    const opening = openEndpoint({ ...quick, endpoint: endpoint.url }, listener, controller.signal);
    await assert.rejects(opening, isAbort);
  });
  test("takes an address of an API and nothing else", () => {
    assert.equal(endpointBase("http://gpu-box:8000/v1").origin, "http://gpu-box:8000");
    for (const wrong of [
      "gpu-box",
      "ftp://h/v1",
      "http://h/v1?a=b",
      "http://h/#x",
      "http://k@h/v1",
    ]) {
      assert.throws(() => endpointBase(wrong), { code: "BAD_REQUEST" }, wrong);
    }
  });
  test("warns of a key that would travel in the open", () => {
    const warns = (url: string, key: string | null = "k") => keyWarning(new URL(url), key) !== null;
    for (const safe of [
      ...["https://gpu-box/v1", "http://localhost:8000", "http://127.0.0.1/v1", "http://127.9.9.9"],
      ...["http://[::1]:8000/v1", "http://ollama.localhost"],
    ]) {
      assert.equal(warns(safe), false, safe);
    }
    assert.equal(warns("http://gpu-box:8000/v1", null), false);
    for (const open of [
      "http://gpu-box:8000/v1",
      "http://10.0.0.3",
      "http://127.0.0.1.example.com",
    ]) {
      assert.equal(warns(open), true, open);
    }
  });
});
