// From an endpoint's address to an engine that works: which model is there, whether it fills in the
// middle, and how fast it answers from here.

import { setTimeout as delay } from "node:timers/promises";
import { RingsideError } from "../errors";
import { buildPrompt, type Cursor } from "../prompt";
import { type Tune, type Tuning, tuneRemote } from "../tuning";
import { EndpointClient, type Limits } from "./client";
import { type Patience, RemoteEngine } from "./engine";
import { EndpointError } from "./failure";
import { backoffMs, type Waits } from "./patience";

export interface EndpointWishes {
  readonly endpoint: string;
  /** null: the first that the endpoint lists. */
  readonly model: string | null;
  readonly key: string | null;
  readonly contextTokens: number;
  /** The most that the engine's context holds, where the endpoint names no limit. */
  readonly contextLimit: number;
  readonly maxTokens: number;
  readonly limits?: Partial<Limits>;
  readonly patience?: Partial<Patience>;
}

export interface EndpointListener {
  log(message: string): void;
  /** It can't be used now and is tried again. */
  failed(error: unknown): void;
  /** The engine has found out more: what the status is to say of it now. */
  changed(says: readonly string[]): void;
}

export interface Opened {
  readonly engine: RemoteEngine;
  readonly tuning: Tuning;
  readonly tune: Tune;
  /** Sentences for the status. */
  readonly says: readonly string[];
}

const AGAIN: Waits = { firstMs: 2_000, longestMs: 60_000 };
// Answers that hold until the user changes a setting, a key or the server. All others may come from what
// is between here and there, such as a hotel's sign-in page or a proxy before its server is up.
const LASTING: ReadonlySet<number | null> = new Set([400, 401, 403, 404, 405, 422]);
const LOADING_MS = 120_000; // servers that load a model when it is first asked for take their time

/** The endpoint's API; throws an error for an address that can't be one. */
export function endpointBase(endpoint: string): URL {
  const base = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const plain = base !== null && /^https?:$/.test(base.protocol) && base.search + base.hash === "";
  if (base === null || !plain || base.username + base.password !== "") {
    throw new RingsideError(
      "BAD_REQUEST",
      'The setting "ringside.endpoint" must be an address such as http://gpu-box:8000/v1, without ' +
        'login, query or fragment. A key is set by "Ringside: Set the Endpoint\'s Key".',
    );
  }
  return base;
}

/** What is wrong with sending a key there; null: nothing. */
export function keyWarning(base: URL, key: string | null): string | null {
  const name = base.hostname.replace(/^\[|\]$/g, "");
  const here = /^(localhost|.+\.localhost|127(\.\d+){3}|::1)$/i.test(name);
  if (key === null || base.protocol === "https:" || here) return null;
  return `The key and your code go to ${base.host} unencrypted: use https:// if it can.`;
}

/**
 * An engine once the endpoint answers: what may pass by itself is told and waited for. Rejects with
 * AbortError once `signal` fires, and with a coded error for what only the user can change.
 */
export async function openEndpoint(
  wishes: EndpointWishes,
  listener: EndpointListener,
  signal: AbortSignal,
  waits: Waits = AGAIN,
): Promise<Opened> {
  const base = endpointBase(wishes.endpoint);
  for (let failures = 1; ; failures++) {
    const client = new EndpointClient({ base, key: wishes.key }, wishes.limits);
    try {
      return await open(client, wishes, listener, signal);
    } catch (error) {
      client.close();
      signal.throwIfAborted();
      if (!(error instanceof EndpointError) || lasts(error)) throw error;
      listener.failed(error);
      const askedMs = Math.min(waits.longestMs, error.retryAfterMs ?? 0);
      const waitMs = Math.max(backoffMs(failures, waits), askedMs);
      await delay(waitMs, undefined, { signal, ref: false });
    }
  }
}

function lasts({ status, code }: EndpointError): boolean {
  return LASTING.has(status) || code === "ENDPOINT_UNAUTHORIZED"; // also of a key that can't be sent
}

async function open(
  client: EndpointClient,
  wishes: EndpointWishes,
  { log, changed }: EndpointListener,
  signal: AbortSignal,
): Promise<Opened> {
  const { base } = client;
  const listed = await listedModels(client, wishes.model, signal);
  const name = wishes.model ?? listed[0]?.name;
  if (name === undefined) {
    throw new RingsideError(
      "MODEL_NOT_FOUND",
      `The endpoint ${base.origin} lists no model. Start it with one, or set "ringside.endpointModel".`,
    );
  }
  const known = listed.find((model) => model.name === name);
  let tuning: Tuning | null = null;
  const warning = keyWarning(base, wishes.key);
  const says = () =>
    [tuning?.says, ...engine.says, warning].filter((text) => typeof text === "string");
  const engine = new RemoteEngine({
    client,
    model: name,
    templates: templates(name, known?.owner ?? ""),
    contextTokens: Math.min(known?.contextTokens ?? wishes.contextLimit, wishes.contextLimit),
    onChange: (why) => {
      log(why);
      if (tuning !== null) changed(says());
    },
    ...(wishes.patience !== undefined && { patience: wishes.patience }),
  });
  const { firstMs, decode } = await tryOut(engine, signal).catch((error: unknown) => {
    throw asMissing(error, name, listed);
  });
  const tune: Tune = (others) => tuneRemote(firstMs, decode, others);
  tuning = tune(wishes);
  log(
    `${name} at ${base.host}: first token after ${Math.round(firstMs)} ms, then ` +
      `${Math.round(decode)} tokens/s. ${tuning.says}`,
  );
  return { engine, tuning, tune, says: says() };
}

interface Listed {
  readonly name: string;
  readonly owner: string;
  /** null: the endpoint does not say. */
  readonly contextTokens: number | null;
}

/** What the endpoint lists. Where the user names a model, it need not, but for a key that it refuses. */
async function listedModels(
  client: EndpointClient,
  named: string | null,
  signal: AbortSignal,
): Promise<Listed[]> {
  let reply: unknown;
  try {
    reply = await client.get("/models", signal);
  } catch (error) {
    const answered = error instanceof EndpointError && error.status !== null && !error.passes;
    if (named !== null && answered && error.code !== "ENDPOINT_UNAUTHORIZED") return [];
    throw error;
  }
  const { data } = (reply ?? {}) as { data?: unknown };
  if (!Array.isArray(data)) return [];
  return data.flatMap((entry: unknown): Listed[] => {
    const { id, owned_by: owner, max_model_len: most } = (entry ?? {}) as Record<string, unknown>;
    if (typeof id !== "string" || !NAME.test(id)) return [];
    const contextTokens = Number.isSafeInteger(most) && Number(most) > 0 ? Number(most) : null;
    return [{ name: id, owner: typeof owner === "string" ? owner : "", contextTokens }];
  });
}

/** Whether it is Ollama, whose models all have a tag, and which knows what they want for filling in. */
function templates(name: string, owner: string): boolean {
  return /^[^:]+:[\w.-]+$/.test(name) && !/^(llamacpp|vllm|sglang)$/.test(owner);
}

function asMissing(error: unknown, name: string, listed: readonly Listed[]): unknown {
  if (!(error instanceof EndpointError) || error.status !== 404) return error;
  const names = listed.map((model) => model.name).slice(0, MAX_NAMED);
  const there = names.length === 0 ? "" : ` It lists ${names.join(", ")}.`;
  return new RingsideError(
    "MODEL_NOT_FOUND",
    `The model ${name} does not complete there. ${error.message}${there}`,
    { cause: error },
  );
}

const MAX_NAMED = 5; // of the models in a message
const NAME = /^\P{C}{1,200}$/u; // what can be shown on a line

const MARK = "61c8864680b583eb"; // that no model writes by itself
const SAMPLE: Cursor = {
  prefix: "def total(items):\n    return sum(item.price for item in ",
  suffix: `\n\n\n# ${MARK}\n`,
  path: "cart.py",
  languageId: "python",
};
const SAMPLE_TOKENS = 16; // to write: a line

/**
 * Two short completions: the first may have to wait for the model, and tells what the endpoint takes;
 * the second tells how fast it is.
 */
async function tryOut(engine: RemoteEngine, signal: AbortSignal) {
  const ask = (limits: Partial<Limits>) => {
    const prompt = buildPrompt(SAMPLE, [], { tokens: 1000 }, engine.vocabulary);
    const options = {
      maxTokens: SAMPLE_TOKENS,
      features: [],
      singleLine: false,
      until: () => null,
    };
    return engine.generate(prompt, options, signal, limits);
  };
  const { text } = await ask({ firstByteMs: LOADING_MS, idleMs: LOADING_MS, wholeMs: LOADING_MS });
  if (engine.vocabulary.suffixApart && text.trimEnd().endsWith(MARK)) {
    engine.goOnOnly("The endpoint appends the suffix to what it writes, and fills nothing in.");
  }
  const { readMs, decodeMs, generatedTokens } = await ask({});
  const firstMs = Math.max(0.1, readMs);
  // The first token comes with the reading. Where it was all, others would take no longer.
  const later = generatedTokens > 1 && decodeMs > 0;
  const decode = later ? ((generatedTokens - 1) / decodeMs) * 1000 : 1000 / firstMs;
  return { firstMs, decode };
}
