// What asking an endpoint costs beside what its model takes: against one on this machine that answers
// at once. node --import tsx test/bench/remote.ts
import { setTimeout as delay } from "node:timers/promises";
import { buildPrompt } from "../../server/prompt";
import { EndpointClient } from "../../server/remote/client";
import { RemoteEngine } from "../../server/remote/engine";
import { FakeEndpoint, writes, writesForEver } from "../server/remote/endpoint";

const REQUESTS = 300;
const CANCELS = 100;
const WARMING = 20; // of the first, left out
const file = "export function twice(value: number) {\n  return value * 2;\n}\n".repeat(200);

function report(what: string, ms: readonly number[]): void {
  const sorted = ms.slice(WARMING).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)]!.toFixed(2);
  console.log(`${what}: median ${at(0.5)} ms, 95 % within ${at(0.95)} ms`);
}

async function measure(endpoint: FakeEndpoint): Promise<void> {
  const engine = new RemoteEngine({
    client: new EndpointClient({ base: new URL(endpoint.url), key: null }),
    model: "qwen2.5-coder-7b",
    templates: false,
    contextTokens: 4096,
    onChange: () => {},
  });
  const options = { maxTokens: 48, features: [], singleLine: false };
  const promptAt = (typed: number) => {
    const cursor = { prefix: file + "x".repeat(typed % 8), suffix: file, path: "src/a.ts" };
    const budget = { tokens: 2048 * engine.vocabulary.perModelToken };
    return buildPrompt({ ...cursor, languageId: "typescript" }, [], budget, engine.vocabulary);
  };

  const [prompts, requests, closes]: [number[], number[], number[]] = [[], [], []];
  endpoint.always = writes(...Array<string>(16).fill("x "));
  for (let i = 0; i < REQUESTS; i++) {
    const start = performance.now();
    const prompt = promptAt(i);
    const asked = performance.now();
    await engine.generate(prompt, { ...options, until: () => null }, new AbortController().signal);
    prompts.push(asked - start);
    requests.push(performance.now() - asked);
    await delay(5);
  }
  report("prompt of 2048 tokens", prompts);
  report("request, 16 events", requests);
  console.log(`connections: ${endpoint.connections}`);

  endpoint.always = writesForEver("x ");
  for (let i = 0; i < CANCELS; i++) {
    const controller = new AbortController();
    const { closed } = endpoint;
    let start = 0;
    const until = () => {
      start = performance.now();
      controller.abort();
      return null;
    };
    await engine.generate(promptAt(i), { ...options, until }, controller.signal).catch(() => {});
    while (endpoint.closed === closed) await delay(0);
    closes.push(performance.now() - start);
  }
  report("from a cancel to the server's seeing it", closes);
  engine.close();
}

void (async () => {
  const endpoint = await FakeEndpoint.start();
  await measure(endpoint);
  await endpoint.stop();
})();
