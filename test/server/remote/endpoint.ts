// An endpoint on this machine that does what endpoints do: well by default, else as a test has it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Patience } from "../../../server/remote/engine";

export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: whatever a client sends
  readonly body: any;
}

export type Behaviour = (response: ServerResponse, heard: Heard) => void;

export class FakeEndpoint {
  readonly heard: Heard[] = [];
  /** Answers that the client closed before they had ended. */
  closed = 0;
  /** Connections that were opened. */
  connections = 0;
  /** What stands between a client and the endpoint, and answers in its place. */
  between: Behaviour | null = null;
  models: unknown = { data: [{ id: "some-model" }] };
  /** The next POSTs meet these, one each; then `always`. */
  next: Behaviour[] = [];
  always: Behaviour = writes("value", ";");

  private constructor(private readonly server: Server) {
    server.on("connection", () => this.connections++);
    server.on("request", (request, response) => void this.answer(request, response));
  }

  /** 0: any port that is free. */
  static async start(port = 0): Promise<FakeEndpoint> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new FakeEndpoint(server);
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/v1`;
  }

  get posts(): Heard[] {
    return this.heard.filter(({ method }) => method === "POST");
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const { method = "", url: path = "", headers } = request;
    const heard = { method, path, headers, body: text === "" ? null : JSON.parse(text) };
    this.heard.push(heard);
    response.on("close", () => {
      if (!response.writableFinished) this.closed++;
    });
    if (this.between !== null) this.between(response, heard);
    else if (method === "GET" && path === "/v1/models") {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(this.models));
    } else if (method === "GET") response.writeHead(404).end("Not Found");
    else (this.next.shift() ?? this.always)(response, heard);
  }

  /** Resolves once the client has closed `count` answers; fails after two seconds. */
  async sawClosed(count = 1): Promise<void> {
    for (const end = Date.now() + 2000; this.closed < count; await delay(5)) {
      if (Date.now() > end) throw new Error(`The client closed ${this.closed} of ${count}.`);
    }
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Limits that a busy machine keeps, too; and waits that are over at once. */
export const quickLimits = { connectMs: 3000, firstByteMs: 3000, idleMs: 3000 };
export const quickPatience: Patience = {
  completion: { attempts: 3, firstMs: 1, longestMs: 4, lateMs: 1000 },
  chat: { attempts: 3, firstMs: 1, longestMs: 4, lateMs: 1000 },
  pauses: { after: 3, firstMs: 60_000, longestMs: 60_000 },
};

export const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
export const choice = (fields: object) => event({ choices: [{ index: 0, ...fields }] });

export function begin(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
}

/** A completion in these pieces, or a message where one is asked for. */
export const writes =
  (...pieces: string[]): Behaviour =>
  (response, { path }) => {
    begin(response);
    const inChat = path.endsWith("/chat/completions");
    for (const text of pieces) {
      response.write(choice(inChat ? { delta: { content: text } } : { text }));
    }
    response.end(`${choice({ text: "", delta: {}, finish_reason: "stop" })}data: [DONE]\n\n`);
  };

/** A completion that goes on until the client closes the connection. */
export const writesForEver =
  (piece: string): Behaviour =>
  (response) => {
    begin(response);
    const timer = setInterval(() => response.write(choice({ text: piece })), 5);
    response.on("close", () => clearInterval(timer));
  };

/** Sends `body` as a stream of events, and ends. */
export const sends =
  (body: string | Uint8Array): Behaviour =>
  (response) => {
    begin(response);
    response.end(body);
  };

/** Sends `body` as the start of a stream, and then nothing. */
export const stallsAfter =
  (body: string): Behaviour =>
  (response) => {
    begin(response);
    response.write(body);
  };

/** Accepts the request and says nothing. */
export const stalls: Behaviour = () => {};

/** Sends `body` and breaks the connection off. */
export const breaksAfter =
  (body: string): Behaviour =>
  (response) => {
    begin(response);
    response.write(body, () => setTimeout(() => response.destroy(), 20));
  };

/** Breaks the connection off before it says anything. */
export const breaks: Behaviour = (response) => {
  response.destroy();
};

export const answers =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}): Behaviour =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };

/** Refuses requests that have `field` as vLLM, Ollama and others do: in `words`. */
export const refuses =
  (field: string, words: string, then: Behaviour, status = 400): Behaviour =>
  (response, heard) => {
    const refused = field in heard.body;
    (refused ? answers(status, { error: { message: words } }) : then)(response, heard);
  };
