// What a server's answer says, and what a failure means: whether to try again, or what to do.

import { RingsideError } from "../errors";
import { timeText } from "../units";

/** An answer's head, as far as a download needs it. */
export interface Reply {
  readonly status: number;
  /** Of the body; null: not said. */
  readonly length: number | null;
  /** Content-Range: where the part starts (null in a 416), and the size of the whole file. */
  readonly range: { readonly start: number | null; readonly total: number | null } | null;
  /** A strong one: a weak one does not promise the same bytes. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly encoded: boolean;
  /** A web page, which no file of a model is: a login, or a network that wants one. */
  readonly page: boolean;
  readonly location: string | null;
  readonly retryAfterMs: number | null;
  /** X-Linked-Size and X-Linked-ETag: Hugging Face's word on the file that a redirect leads to. */
  readonly linkedBytes: number | null;
  readonly linkedSha256: string | null;
}

/** A failure that another try may not meet. */
export class Passing extends Error {
  constructor(
    message: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export function replyOf(status: number, headers: Headers): Reply {
  const get = (name: string) => [headers[name] ?? []].flat()[0] ?? null;
  const etag = get("etag");
  const encoding = get("content-encoding") ?? "identity";
  const sha256 = /^"?([0-9a-f]{64})"?$/i.exec(get("x-linked-etag") ?? "");
  return {
    status,
    length: count(get("content-length")),
    range: rangeOf(get("content-range")),
    etag: etag?.startsWith('"') ? etag : null,
    lastModified: get("last-modified"),
    encoded: encoding !== "identity",
    page: /^text\/html\b/i.test(get("content-type") ?? ""),
    location: get("location"),
    retryAfterMs: waitOf(get("retry-after")),
    linkedBytes: count(get("x-linked-size")),
    linkedSha256: sha256?.[1]?.toLowerCase() ?? null,
  };
}

function count(text: string | null | undefined): number | null {
  return /^\d+$/.test(text ?? "") ? Number(text) : null;
}

function rangeOf(text: string | null): Reply["range"] {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(text ?? "");
  return match && { start: count(match[1]), total: count(match[2]) };
}

/** Retry-After: seconds, or a date. */
function waitOf(text: string | null): number | null {
  if (text === null) return null;
  const seconds = count(text);
  if (seconds !== null) return seconds * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

const advice: Readonly<Record<number, string>> = {
  401: "It wants a login: the model may be one whose licence has to be accepted on its page.",
  403: "It is not for everyone: its licence may have to be accepted, or a proxy refuses it.",
  404: "It is not there: it may have been moved, or the mirror doesn't have it.",
  407: 'The proxy wants a login: see "http.proxyAuthorization".',
};

/** What an unsuccessful answer means: Passing, or what no other try will change. */
export function refusal(url: URL, { status, retryAfterMs }: Reply, longestWaitMs: number): Error {
  if (status === 408 || status === 429 || status >= 500) {
    const waitMs = retryAfterMs ?? 0;
    if (waitMs <= longestWaitMs) return new Passing(`the server answered ${status}`, retryAfterMs);
    return new RingsideError(
      "DOWNLOAD_FAILED",
      `${url.host} answered ${status} and asks to wait ${timeText(waitMs / 1000)}. Try again ` +
        "then; what came is kept.",
    );
  }
  const why = advice[status] ?? "Open the address in a browser to see more.";
  return new RingsideError("DOWNLOAD_FAILED", `${url} answered ${status}. ${why}`);
}

/** Where a redirect leads. Never from https to http, and over http to no stranger. */
export function redirected(from: URL, { location, status }: Reply): URL {
  const to =
    location !== null && URL.canParse(location, from.href) ? new URL(location, from) : null;
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/;
  const near = to?.hostname === from.hostname || loopback.test(to?.hostname ?? "");
  if (to?.protocol === "https:") return to;
  if (to?.protocol === "http:" && from.protocol === "http:" && near) return to;
  throw new RingsideError(
    "DOWNLOAD_FAILED",
    `${from} answered ${status} and leads to ${to ?? "nowhere"}, which is not followed: only https ` +
      "is, or http on the same host. Check the mirror.",
  );
}

const certificate =
  /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS_CERT_ALTNAME_INVALID|UND_ERR_PRX_TLS/;

const words: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
  UND_ERR_HEADERS_TIMEOUT: "the server said nothing for too long",
  UND_ERR_BODY_TIMEOUT: "the server stopped sending",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the server stopped before the end",
  UND_ERR_SOCKET: "the connection broke",
  ECONNRESET: "the connection broke",
  ECONNREFUSED: "nothing answers there",
  ENOTFOUND: "its host isn't known: there may be no network",
  EAI_AGAIN: "its host isn't known: there may be no network",
};

/** What a failed connection means. Anything that is no failure of a connection is thrown on. */
export function passingOf(error: unknown, url: URL): Passing {
  if (error instanceof Passing) return error;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  if (error instanceof RingsideError || typeof code !== "string") throw error;
  const refused = /^Proxy response \((4\d\d)\)/.exec(message ?? "");
  if (refused !== null) {
    const why = advice[refused[1] === "407" ? 407 : 0] ?? 'See "http.proxy" and "http.noProxy".';
    const text = `The proxy answered ${refused[1]} when asked for ${url.host}. ${why}`;
    throw new RingsideError("DOWNLOAD_FAILED", text, { cause: error });
  }
  if (certificate.test(code)) {
    throw new RingsideError(
      "DOWNLOAD_FAILED",
      `The certificate of ${url.host} is not trusted here: ${message}. If a proxy of your company ` +
        "signs it, start with NODE_EXTRA_CA_CERTS set to the file of its certificate.",
      { cause: error },
    );
  }
  return new Passing(words[code] ?? message ?? code);
}
