// An endpoint that speaks OpenAI's API and says what a test has it say.

import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A model that writes `answer` in conversations and `completion` in code, a few characters every `stepMs`. */
export class Endpoint {
  answer = "";
  completion = "";
  stepMs = 0;
  /** What the last third of an answer waits for. */
  until: Promise<void> = Promise.resolve();
  readonly asked: { messages: { role: string; content: string }[]; seed?: number }[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  private readonly server: Server = createServer((request, response) => {
    this.headers.push(request.headers);
    if (request.method === "GET") {
      const found = request.url === "/v1/models";
      response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(found ? { data: [{ id: "scripted" }] } : {}));
      return;
    }
    void bodyOf(request).then(async (body) => {
      const event = (choice: object) => {
        response.write(`data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`);
      };
      response.writeHead(200, { "content-type": "text/event-stream" });
      const isChat = request.url === "/v1/chat/completions";
      if (isChat) this.asked.push(body as (typeof this.asked)[number]);
      const written = isChat ? this.answer : this.completion;
      const parts = written.match(/[\s\S]{1,8}/g) ?? [];
      for (const [i, text] of parts.entries()) {
        if (i > (2 / 3) * parts.length) await this.until;
        await delay(this.stepMs);
        event(isChat ? { delta: { content: text } } : { text });
      }
      event({ delta: {}, text: "", finish_reason: "stop" });
      response.end("data: [DONE]\n\n");
    });
  });

  /** Returns its address. */
  async start(): Promise<string> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}
