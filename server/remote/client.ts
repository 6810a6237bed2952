// The connection to an endpoint: one origin, which the user named, and no other. Follows no redirect,
// uses no proxy, and bounds what an answer may be in time and size.

import { createParser } from "eventsource-parser";
import { Agent, type Dispatcher, request } from "undici";
import { RingsideError } from "../errors";
import {
  brokenConnection,
  type Clean,
  type EndpointError,
  endless,
  nonsense,
  refusal,
  silence,
  withoutEcho,
} from "./failure";

export interface Limits {
  readonly connectMs: number;
  /** How long an answer may take to begin. */
  readonly firstByteMs: number;
  /** How long it may pause. */
  readonly idleMs: number;
  /** How long all of it may take: a server may keep a connection alive by saying nothing. */
  readonly wholeMs: number;
  /** Of one event of a stream. */
  readonly eventCharacters: number;
  /** Of a whole stream. */
  readonly streamBytes: number;
  /** Of an answer that is one JSON text. */
  readonly replyBytes: number;
}

const defaultLimits: Limits = {
  connectMs: 5_000,
  firstByteMs: 15_000,
  idleMs: 15_000,
  wholeMs: 60_000,
  eventCharacters: 1 << 20,
  streamBytes: 64 << 20,
  replyBytes: 4 << 20,
};

const REFUSAL_BYTES = 16 << 10; // of a refusal's words
const TRAILING_BYTES = 4 << 10; // after the end of the answer, for the sake of a connection that can be used again
const TRAILING_MS = 100;
const DONE = "[DONE]";

/**
 * Hears of each event's data, and how to clean a server's words in it; true: that was enough, the
 * connection is closed at once.
 */
export type OnData = (data: string, clean: Clean) => boolean;

export interface Address {
  /** The API's, without a slash at its end. */
  readonly base: URL;
  /** For the Authorization header; null: none is sent. */
  readonly key: string | null;
}

/** One request's clock and cancel: aborts it when its caller does, and when it is silent for too long. */
class Watch {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private readonly whole: NodeJS.Timeout;
  private readonly cancel = () => this.controller.abort(this.outer.reason);

  /** `late` is the error once it has taken `wholeMs`. */
  constructor(
    private readonly outer: AbortSignal,
    wholeMs: number,
    late: () => Error,
  ) {
    outer.throwIfAborted();
    outer.addEventListener("abort", this.cancel, { once: true });
    this.whole = setTimeout(() => this.abort(late()), wholeMs);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** From now on, no more than `ms` until the next call. */
  expect(ms: number, late: () => Error): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort(late()), ms);
  }

  abort(reason: Error): void {
    this.controller.abort(reason);
  }

  end(): void {
    clearTimeout(this.timer);
    clearTimeout(this.whole);
    this.outer.removeEventListener("abort", this.cancel);
  }
}

export class EndpointClient {
  readonly base: URL;
  private readonly limits: Limits;
  private readonly agent: Agent;
  private readonly key: string | null;

  constructor({ base, key }: Address, limits: Partial<Limits> = {}) {
    if (key !== null && !/^[\x21-\x7e]+$/.test(key)) {
      throw new RingsideError(
        "ENDPOINT_UNAUTHORIZED",
        "The endpoint's key holds a space, a line break or another character that no key has. Set it anew.",
      );
    }
    this.base = base;
    this.key = key;
    this.limits = { ...defaultLimits, ...limits };
    // Silence is watched over here: undici's own timers are only exact to about a second.
    const timers = { headersTimeout: 0, bodyTimeout: 0 };
    this.agent = new Agent({ connect: { timeout: this.limits.connectMs }, ...timers });
  }

  /** The JSON at `path`. Rejects with AbortError once `signal` fires, else with an EndpointError. */
  async get(path: string, signal: AbortSignal): Promise<unknown> {
    return this.exchange("GET", path, null, {}, signal, async (reply) => {
      const text = await textOf(reply, reply.limits.replyBytes);
      try {
        return JSON.parse(text);
      } catch {
        throw nonsense(reply.url, "answers with what is no JSON");
      }
    });
  }

  /**
   * Posts `content` to `path` and hands each event of the answer to `onData` until it ends, or is
   * enough. Rejects as `get` does.
   */
  async stream(
    path: string,
    content: unknown,
    onData: OnData,
    signal: AbortSignal,
    limits: Partial<Limits> = {},
  ): Promise<void> {
    await this.exchange("POST", path, content, limits, signal, async (reply) => {
      const type = String(reply.headers["content-type"] ?? "");
      if (!/^text\/event-stream\b/i.test(type)) {
        throw nonsense(reply.url, `answers with ${printableType(type)} where a stream is wanted`);
      }
      await read(reply, (data) => onData(data, reply.clean));
    });
  }

  close(): void {
    void this.agent.destroy();
  }

  private async exchange<Result>(
    method: "GET" | "POST",
    path: string,
    content: unknown,
    changed: Partial<Limits>,
    signal: AbortSignal,
    use: (reply: Reply) => Promise<Result>,
  ): Promise<Result> {
    const url = new URL(`${this.base.href.replace(/\/+$/, "")}${path}`);
    const limits = { ...this.limits, ...changed };
    const { firstByteMs, wholeMs } = limits;
    const watch = new Watch(signal, wholeMs, () => endless(url, wholeMs));
    try {
      watch.expect(firstByteMs, () => silence(url, firstByteMs, "where an answer should begin"));
      const { statusCode, headers, body } = await request(url, {
        method,
        dispatcher: this.agent,
        signal: watch.signal,
        headers: {
          accept: method === "GET" ? "application/json" : "text/event-stream",
          ...(content !== null && { "content-type": "application/json" }),
          ...(this.key !== null && { authorization: `Bearer ${this.key}` }),
        },
        body: content === null ? null : JSON.stringify(content),
      });
      body.on("error", () => {}); // heard where it is read; afterwards it says nothing new
      const clean = (said: string) => withoutEcho(this.withoutKey(said), content);
      const reply = { url, headers, body, watch, limits, clean };
      if (statusCode !== 200) throw await refused(reply, statusCode);
      return await use(reply);
    } catch (error) {
      const explained = this.explained(url, error, signal, watch);
      watch.abort(explained); // an answer that is not read to its end would hold the connection
      throw explained;
    } finally {
      watch.end();
    }
  }

  /** `error` as the caller is to see it: what aborted the request, if something did. */
  private explained(url: URL, error: unknown, signal: AbortSignal, watch: Watch): Error {
    if (signal.aborted) return signal.reason;
    if (error instanceof RingsideError) return error;
    return watch.signal.aborted ? watch.signal.reason : brokenConnection(url, error);
  }

  private withoutKey(words: string): string {
    return this.key === null ? words : words.replaceAll(this.key, "…");
  }
}

type Headers = Dispatcher.ResponseData["headers"];
type Body = Dispatcher.ResponseData["body"];

interface Reply {
  readonly url: URL;
  readonly headers: Headers;
  readonly body: Body;
  readonly watch: Watch;
  readonly limits: Limits;
  /** A server's words without the key and without what it was sent: some repeat either. */
  readonly clean: Clean;
}

async function refused(reply: Reply, status: number): Promise<EndpointError> {
  const words = await textOf(reply, REFUSAL_BYTES, "cut").catch(() => "");
  const [location, retryAfter] = [reply.headers.location, reply.headers["retry-after"]].map(
    (value) => String(value ?? ""),
  );
  const given = { location: location!, retryAfter: retryAfter! };
  return refusal(reply.url, status, words, given, reply.clean);
}

function printableType(type: string): string {
  return type === "" ? "no content type" : type.replace(/\p{C}/gu, " ").slice(0, 80);
}

/** The body as text; beyond `most` bytes it is an error, or cut there. */
async function textOf(
  { url, body, watch, limits }: Reply,
  most: number,
  beyond: "error" | "cut" = "error",
): Promise<string> {
  const { idleMs } = limits;
  const chunks: Buffer[] = [];
  let size = 0;
  watch.expect(idleMs, () => silence(url, idleMs, "in the middle of an answer"));
  for await (const chunk of body as AsyncIterable<Buffer>) {
    watch.expect(idleMs, () => silence(url, idleMs, "in the middle of an answer"));
    size += chunk.length;
    chunks.push(chunk);
    if (size <= most) continue;
    if (beyond === "cut") break;
    throw nonsense(url, `answers with more than ${most} bytes`);
  }
  return Buffer.concat(chunks).toString("utf8", 0, most);
}

/** Reads events until the stream ends, says that it is done, or `onData` has enough. */
function read(
  { url, body, watch, limits }: Reply,
  onData: (data: string) => boolean,
): Promise<void> {
  const { idleMs, eventCharacters, streamBytes } = limits;
  return new Promise((resolve, reject) => {
    let ended = false;
    let size = 0;
    const fail = (error: Error) => {
      ended = true;
      reject(error);
      watch.abort(error);
    };
    const enough = () => {
      ended = true;
      resolve();
      body.destroy();
    };
    const done = () => {
      ended = true;
      resolve();
      size = 0;
      setTimeout(() => body.destroy(), TRAILING_MS).unref();
    };
    const parser = createParser({
      maxBufferSize: eventCharacters,
      onError: ({ type }) => {
        if (type !== "max-buffer-size-exceeded" || ended) return;
        fail(nonsense(url, `sends an event of more than ${eventCharacters} characters`));
      },
      onEvent: ({ data }) => {
        if (ended) return;
        if (data.trim() === DONE) return done();
        try {
          if (onData(data)) enough();
        } catch (error) {
          fail(error as Error);
        }
      },
    });
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const silent = () => silence(url, idleMs, "in the middle of an answer");
    watch.expect(idleMs, silent);
    body.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (ended) {
        if (size > TRAILING_BYTES) body.destroy();
        return;
      }
      watch.expect(idleMs, silent);
      if (size > streamBytes) return fail(nonsense(url, `sends more than ${streamBytes} bytes`));
      try {
        parser.feed(decoder.decode(chunk, { stream: true }));
      } catch {
        if (!ended) fail(nonsense(url, "sends what is no UTF-8"));
      }
    });
    body.on("end", () => resolve());
    body.on("error", reject);
    body.on("close", () => reject(brokenConnection(url, { code: "ECONNRESET" })));
  });
}
