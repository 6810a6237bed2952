// What the events of an endpoint's stream say, checked: nothing in them is taken on trust.

import type { GeneratedToken } from "../generator";
import { type Clean, EndpointError, nonsense, wordsOf } from "./failure";

/** One event's part of the answer. */
export interface Delta {
  readonly text: string;
  /** Empty: the endpoint does not say. */
  readonly tokens: readonly GeneratedToken[];
  /** Why the answer ends with this event; null: it goes on. */
  readonly finish: string | null;
  readonly usage: Usage | null;
}

/** Tokens, as the endpoint counts them. */
export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

/** Which text an event has: the answer's own, or a message's. */
export type Kind = "completion" | "chat";

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The delta in an event's `data`; throws an EndpointError for what is none. */
export function deltaOf(data: string, kind: Kind, url: URL, clean: Clean): Delta {
  const event = parsed(data, url);
  if (event.error !== undefined && event.error !== null) {
    const says = wordsOf(data, clean);
    const message = `The endpoint ${url.origin} fails. It says: ${says}`;
    throw new EndpointError("ENDPOINT_FAILED", message, { says });
  }
  const usage = usageOf(event.usage);
  const { choices = [] } = event;
  if (!Array.isArray(choices)) throw nonsense(url, "sends an event whose choices are no list");
  const choice: unknown = choices[0];
  if (choice === undefined) return { text: "", tokens: [], finish: null, usage };
  if (!isFields(choice)) throw nonsense(url, "sends a choice that is no object");
  const said = kind === "chat" ? contentOf(choice, url) : choice.text;
  const text = said ?? "";
  if (typeof text !== "string") throw nonsense(url, "sends a choice whose text is none");
  const finish = typeof choice.finish_reason === "string" ? choice.finish_reason : null;
  return { text, tokens: tokensOf(choice.logprobs), finish, usage };
}

function parsed(data: string, url: URL): Fields {
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    throw nonsense(url, "sends an event that is no JSON");
  }
  if (!isFields(event)) throw nonsense(url, "sends an event that is no object");
  return event;
}

function contentOf({ delta = {} }: Fields, url: URL): unknown {
  if (!isFields(delta)) throw nonsense(url, "sends a delta that is no object");
  return delta.content;
}

/** The tokens and their log probabilities, in either of the forms in use. */
function tokensOf(logprobs: unknown): GeneratedToken[] {
  if (!isFields(logprobs)) return [];
  const { content, tokens, token_logprobs: values } = logprobs;
  if (Array.isArray(content)) {
    return content.flatMap((one: unknown) =>
      isFields(one) ? tokenOf(one.token, one.logprob) : [],
    );
  }
  if (!Array.isArray(tokens) || !Array.isArray(values)) return [];
  return tokens.flatMap((text: unknown, i) => tokenOf(text, values[i]));
}

function tokenOf(text: unknown, value: unknown): GeneratedToken[] {
  if (typeof text !== "string" || typeof value !== "number" || Number.isNaN(value)) return [];
  return [{ text, logProbability: Math.min(0, value) }];
}

function usageOf(value: unknown): Usage | null {
  if (!isFields(value)) return null;
  const count = (given: unknown) =>
    typeof given === "number" && Number.isSafeInteger(given) && given >= 0 ? given : 0;
  const { prompt_tokens: prompt, completion_tokens: completion } = value;
  const { prompt_tokens_details: details } = value;
  return {
    promptTokens: count(prompt),
    cachedTokens: Math.min(count(prompt), isFields(details) ? count(details.cached_tokens) : 0),
    generatedTokens: count(completion),
  };
}
