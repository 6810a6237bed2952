// What the tests of a remote engine share: an endpoint for each, an engine for it, and one question.
import { afterEach, beforeEach } from "node:test";
import type { GenerateOptions } from "../../../server/generator";
import { buildPrompt, type Snippet } from "../../../server/prompt";
import { EndpointClient, type Limits } from "../../../server/remote/client";
import { type Patience, RemoteEngine } from "../../../server/remote/engine";
import { at } from "../support";
import { FakeEndpoint, quickLimits, quickPatience } from "./endpoint";

export const key = "sk-ringside-0123456789";

/** The one of the test that runs, and what its engines found out. */
export let endpoint: FakeEndpoint;
export let changes: string[];

/** Each test of the file gets an endpoint. */
export function useEndpoint(): void {
  beforeEach(async () => {
    endpoint = await FakeEndpoint.start();
    changes = [];
  });
  afterEach(() => endpoint.stop());
}

export interface Made {
  readonly model?: string;
  readonly templates?: boolean;
  readonly limits?: Partial<Limits>;
  readonly patience?: Partial<Patience>;
}

export function engineOf({ model = "some-model", templates = false, limits, patience }: Made = {}) {
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
export const never = new AbortController().signal;

export function ask(
  engine: RemoteEngine,
  options: Partial<GenerateOptions> = {},
  signal = never,
  snippets: readonly Snippet[] = [],
) {
  const prompt = buildPrompt(at("f(|);"), snippets, { tokens: 900 }, engine.vocabulary);
  return engine.generate(prompt, { ...wanted, ...options }, signal);
}
