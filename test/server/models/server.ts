// A server of one file that does what servers do to downloads: see the faults below.
import { createHash, randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { RemoteFile } from "../../../server/models/files";

export type Fault = (
  server: FileServer,
  request: IncomingMessage,
  response: ServerResponse,
) => void;

export class FileServer {
  /** What each GET asked for: its Range, or "all". */
  readonly asked: string[] = [];
  readonly headers: IncomingMessage["headers"][] = [];
  /** The next GETs meet these, one each; then all is well. */
  faults: Fault[] = [];
  version = 1;
  /** Without: nothing says that a file is the one it was. */
  saysEtag = true;
  /** Where the download under test keeps what came. */
  part = "";

  private constructor(
    public content: Buffer,
    private readonly server: Server,
  ) {
    server.on("request", (request, response) => {
      this.headers.push(request.headers);
      if (request.method === "HEAD") return this.send(request, response);
      this.asked.push(request.headers.range?.replace("bytes=", "") ?? "all");
      const fault = this.faults.shift() ?? ((_, asked, answer) => this.send(asked, answer));
      fault(this, request, response);
    });
  }

  static async start(content: Buffer = randomBytes(300_000)): Promise<FileServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FileServer(content, server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get base(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get etag(): string {
    return `"version-${this.version}"`;
  }

  file(changes: Partial<RemoteFile> = {}): RemoteFile {
    const { length: bytes } = this.content;
    const sha256 = createHash("sha256").update(this.content).digest("hex");
    const at = { repository: "some/model", revision: "main", path: "model.gguf" };
    return { ...at, bytes, sha256, ...changes };
  }

  /** Answers as it should: with a part where one is asked for and nothing has changed since. */
  send(request: IncomingMessage, response: ServerResponse, upTo = Number.POSITIVE_INFINITY): void {
    const { method } = request;
    const start = this.startOf(request);
    const total = this.content.length;
    if (start > total || (start === total && start > 0)) {
      response.writeHead(416, { "content-range": `bytes */${total}` }).end();
      return;
    }
    response.writeHead(start > 0 ? 206 : 200, {
      ...(this.saysEtag && { etag: this.etag }),
      "content-length": total - start,
      ...(start > 0 && { "content-range": `bytes ${start}-${total - 1}/${total}` }),
    });
    if (method === "HEAD") response.end();
    else if (start + upTo >= total) response.end(this.content.subarray(start));
    else response.write(this.content.subarray(start, start + upTo));
  }

  /** Where what is asked for starts: 0 where all is, or the file has changed since. */
  startOf({ headers }: IncomingMessage): number {
    if ((headers["if-range"] ?? this.etag) !== this.etag) return 0;
    return Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Sends `bytes` more and then nothing, for ever. */
export const stallsAfter =
  (bytes: number): Fault =>
  (server, request, response) =>
    server.send(request, response, bytes);

/** Sends `bytes` more and breaks the connection, once they have come through to `server.part`. */
export const breaksAfter =
  (bytes: number): Fault =>
  (server, request, response) => {
    const start = server.startOf(request);
    server.send(request, response, bytes);
    const until = Date.now() + 700; // short of the time after which a download gives up waiting
    const poll = setInterval(() => {
      const size = statSync(server.part, { throwIfNoEntry: false })?.size ?? 0;
      if (size !== start + bytes && Date.now() < until) return;
      clearInterval(poll);
      response.destroy();
    }, 5);
  };

/** Sends `bytes` from the start and ends well, as if that were all: it says no length. */
export const endsAfter =
  (bytes: number): Fault =>
  (server, _, response) => {
    response.writeHead(200, { etag: server.etag });
    response.end(server.content.subarray(0, bytes));
  };

/** Sends `bytes` of the part that is asked for and ends well, without a length of its own. */
export const endsPartAfter =
  (bytes: number): Fault =>
  (server, request, response) => {
    const start = server.startOf(request);
    const { length } = server.content;
    const range = `bytes ${start}-${length - 1}/${length}`;
    response.writeHead(206, { etag: server.etag, "content-range": range });
    response.end(server.content.subarray(start, start + bytes));
  };

export const answers =
  (status: number, headers: Record<string, string> = {}): Fault =>
  (_, __, response) => {
    response.writeHead(status, headers).end("no");
  };

export const redirectsTo =
  (location: string, headers: Record<string, string> = {}): Fault =>
  (_, __, response) => {
    response.writeHead(302, { location, ...headers }).end();
  };

/** Sends all of it from the start, whatever was asked for. */
export const ignoresRange: Fault = (server, _, response) => {
  response.writeHead(200, { "content-length": server.content.length }).end(server.content);
};

/** Another file of the same size takes its place, and is sent. */
export const changes: Fault = (server, request, response) => {
  server.content = randomBytes(server.content.length);
  server.version++;
  server.send(request, response);
};

/** As `changes`, at a server that knows Range but not If-Range. */
export const changesWithoutSaying: Fault = (server, request, response) => {
  server.version++;
  delete request.headers["if-range"];
  server.send(request, response);
};

/** A proxy that tunnels every host to `port`, and tells which were asked for. */
export async function startProxy(port: number, password: string | null = null) {
  const asked: string[] = [];
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((_, response) => response.writeHead(400).end());
  server.on("connect", (request, client) => {
    sockets.add(client);
    client.on("error", () => {});
    asked.push(request.url!);
    if (password !== null && request.headers["proxy-authorization"] !== password) {
      client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      return;
    }
    const through = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      through.pipe(client).pipe(through);
    });
    through.on("error", () => client.destroy());
    sockets.add(through);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, stop };
}
