// By real_server.mjs alone, which starts the server: what a real one makes of our requests.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { isAbort } from "../../server/errors";
import { buildPrompt } from "../../server/prompt";
import { type Opened, openEndpoint } from "../../server/remote/open";

const {
  ENDPOINT: endpoint = "",
  MODEL: model = "",
  UNKNOWN_MODEL: unknownModel = "",
} = process.env;

interface Expected {
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly text: string;
  readonly generatedTokens: number;
}

const expected: Record<"middle" | "prefix", Expected> = JSON.parse(
  readFileSync(join(model, "expected.json"), "utf8"),
);

const never = new AbortController().signal;
const logs: string[] = [];
let opened: Opened;

async function open(name: string): Promise<Opened> {
  const wishes = { endpoint, model: name, key: null, contextTokens: 1024, contextLimit: 2048 };
  const listener = {
    log: (message: string) => logs.push(message),
    changed: () => {},
    failed: (error: unknown) => assert.fail(String(error)),
  };
  return openEndpoint({ ...wishes, maxTokens: 48 }, listener, never);
}

/** What comes of a request must be what transformers itself wrote for the same text. */
async function check({ engine }: Opened, { text, maxTokens, ...counts }: Expected) {
  const cursor = { prefix: "def total(items):\n    return ", suffix: "\n", path: "a.py" };
  const vocabulary = engine.vocabulary;
  const prompt = buildPrompt({ ...cursor, languageId: "python" }, [], { tokens: 900 }, vocabulary);
  const options = { maxTokens, features: [], singleLine: false, until: () => null };
  const { text: written, ...generated } = await engine.generate(prompt, options, never);
  assert.equal(written, text);
  assert.equal(generated.promptTokens, counts.promptTokens); // so each marker was one token
  assert.equal(generated.generatedTokens, counts.generatedTokens);
}

suite("transformers serve", () => {
  before(async () => {
    opened = await open(model);
  });
  after(() => {
    opened.engine.close();
    for (const line of logs) console.log(`# ${line}`);
  });

  test("fills in the middle by the markers of the model's name", async () => {
    assert.match(opened.says.join(" "), /as qwen models do/);
    await check(opened, expected.middle);
  });
  test("is seen to give a suffix back, so that the prefix goes alone", async () => {
    const unknown = await open(unknownModel);
    assert.match(unknown.says.join(" "), /goes on from what stands before the cursor/);
    await check(unknown, expected.prefix);
    unknown.engine.close();
  });
  test("stops when it is cancelled, and answers the next request", async () => {
    const { engine } = opened;
    const controller = new AbortController();
    const prompt = buildPrompt(
      { prefix: "a", suffix: "", path: "a.py", languageId: "python" },
      [],
      { tokens: 900 },
      engine.vocabulary,
    );
    const until = () => {
      controller.abort();
      return null;
    };
    const options = { maxTokens: 1000, features: [], singleLine: false, until };
    await assert.rejects(engine.generate(prompt, options, controller.signal), isAbort);
    await check(opened, expected.middle);
  });
  test("answers conversations", async () => {
    const heard: string[] = [];
    const { text, generatedTokens } = await opened.engine.chat(
      [{ role: "user", content: "Say hello." }],
      { maxTokens: 8, onText: (grown) => heard.push(grown) },
      never,
    );
    assert.ok(generatedTokens > 0 && generatedTokens <= 8);
    assert.equal(heard.at(-1), text);
  });
});
