// What can go wrong with an endpoint, as errors that say what, where and what to do.

import { RingsideError } from "../errors";
import type { ErrorCode } from "../protocol";

export interface Circumstances {
  /** HTTP's, if it got that far. */
  readonly status?: number;
  /** Whether trying again may help. */
  readonly passes?: boolean;
  /** How long the server wants to be left alone. */
  readonly retryAfterMs?: number | null;
  /** The server's own words. */
  readonly says?: string;
  readonly cause?: unknown;
}

/** A failed exchange with an endpoint. Its message never holds a key. */
export class EndpointError extends RingsideError {
  readonly status: number | null;
  readonly passes: boolean;
  readonly retryAfterMs: number | null;
  readonly says: string;

  constructor(code: ErrorCode, message: string, circumstances: Circumstances = {}) {
    super(code, message, { cause: circumstances.cause });
    this.status = circumstances.status ?? null;
    this.passes = circumstances.passes ?? false;
    this.retryAfterMs = circumstances.retryAfterMs ?? null;
    this.says = circumstances.says ?? "";
  }
}

const MAX_SAID = 300; // characters of a server's words that a message repeats

/** Takes what is nobody's business out of a server's words. */
export type Clean = (words: string) => string;
const asTheyAre: Clean = (words) => words;

/** What the body of a refusal says, on one line. */
export function wordsOf(body: string, clean = asTheyAre): string {
  let said: unknown = body;
  try {
    said = JSON.parse(body);
  } catch {} // text as it is
  for (const key of ["error", "message", "detail"]) {
    if (typeof said === "object" && said !== null && key in said) {
      said = (said as Record<string, unknown>)[key];
    }
  }
  const text = typeof said === "string" ? said : JSON.stringify(said, withoutInput);
  // Of the whole: JSON may have written a key's signs in another way, and the cut may go through one.
  const line = clean(printable(text).replace(/\s+/g, " ").trim());
  return line.length > MAX_SAID ? `${line.slice(0, MAX_SAID)}…` : line;
}

/** Some repeat what they were sent as the "input" that they refuse: that is the user's code. */
function withoutInput(field: string, value: unknown): unknown {
  return field === "input" ? undefined : value;
}

const ECHO = 16; // characters: shorter pieces of a prompt are in any sentence
const MAX_HEARD = 2_000; // characters of words that are compared with what was sent

/**
 * The start of `words` without the pieces of `sent`, a request, that they repeat: servers quote what
 * they refuse, as JSON or as a string of Python's, and that is the user's code.
 */
export function withoutEcho(words: string, sent: unknown): string {
  const heard = words.slice(0, MAX_HEARD);
  const code = textsOf(sent);
  const written = [code, code.replaceAll('\\"', '"')];
  let kept = "";
  for (let at = 0; at < heard.length; ) {
    const length = Math.max(...written.map((text) => lengthOfEcho(heard, at, text)));
    kept += length === 0 ? heard[at] : "…";
    at += Math.max(1, length);
  }
  return kept;
}

/** What a request says, as JSON writes it; the model's name is no secret, and in many a good message. */
function textsOf(sent: unknown): string {
  const texts: string[] = [];
  JSON.stringify(sent, (field, value) => {
    if (typeof value === "string" && field !== "model") texts.push(JSON.stringify(value));
    return value;
  });
  return texts.join("\n");
}

/** How much of `heard` from `at` on is in `text`; 0: too little to count. */
function lengthOfEcho(heard: string, at: number, text: string): number {
  const piece = heard.slice(at, at + ECHO);
  const from = piece.length < ECHO ? -1 : text.indexOf(piece);
  if (from < 0) return 0;
  let length = ECHO;
  while (at + length < heard.length && heard[at + length] === text[from + length]) length++;
  return length;
}

/** `text` without control characters, which could confuse who reads a log. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, " ");
}

/** The refusal of a request to `url` with `status`; `location` is where a redirect points. */
export function refusal(
  url: URL,
  status: number,
  body: string,
  { location = "", retryAfter = "" }: { location?: string; retryAfter?: string } = {},
  clean = asTheyAre,
): EndpointError {
  const says = wordsOf(body, clean);
  const said = says === "" ? "" : ` It says: ${says}`;
  const at = `The endpoint ${url.origin}${url.pathname}`;
  if (status >= 300 && status < 400) {
    const to = clean(printable(location)).slice(0, MAX_SAID);
    return new EndpointError(
      "ENDPOINT_FAILED",
      `${at} redirects to ${to === "" ? "nowhere" : to} (${status}), and code goes to no other ` +
        `address than "ringside.endpoint" names. Set it to that address if you trust it.`,
      { status },
    );
  }
  if (status === 401 || status === 403) {
    return new EndpointError(
      "ENDPOINT_UNAUTHORIZED",
      `${at} wants another key (${status}). Run "Ringside: Set the Endpoint's Key", or set ` +
        `RINGSIDE_ENDPOINT_KEY where the server starts.${said}`,
      { status, says },
    );
  }
  const passes = [408, 425, 429, 502, 503, 504].includes(status);
  const retryAfterMs = passes ? waitOf(retryAfter) : null;
  if (status === 404 || status === 405) {
    return new EndpointError(
      "ENDPOINT_FAILED",
      `${at} does not exist (${status}). Check "ringside.endpoint", which mostly ends in /v1, and ` +
        `"ringside.endpointModel".${said}`,
      { status, says },
    );
  }
  const what = status === 429 ? "has too much to do" : "fails";
  const code = status === 400 || status === 422 ? "BAD_REQUEST" : "ENDPOINT_FAILED";
  const text =
    code === "BAD_REQUEST" ? `${at} refuses the request (${status})` : `${at} ${what} (${status})`;
  return new EndpointError(code, `${text}.${said}`, { status, says, passes, retryAfterMs });
}

/** Milliseconds that a Retry-After asks for: seconds, or a date; null: it asks for nothing that can be read. */
function waitOf(retryAfter: string): number | null {
  if (/^\s*\d+\s*$/.test(retryAfter)) return Number(retryAfter) * 1000;
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

const reasons: readonly (readonly [RegExp, string, boolean])[] = [
  [/^ECONNREFUSED$/, "nothing listens there", true],
  [/^(ENOTFOUND|EAI_\w+)$/, "its name is not known", true],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/, "it does not answer", true],
  [/^(EHOSTUNREACH|ENETUNREACH|ENETDOWN)$/, "there is no way to it", true],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ECONNABORTED)$/, "it broke the connection off", true],
  [
    /^(EPROTO|ERR_SSL_\w+)$/,
    "it speaks no TLS that is understood; perhaps http:// is meant",
    false,
  ],
  [/CERT|SELF_SIGNED|UNABLE_TO_\w+/, "its certificate is not trusted", false],
  [/^(HPE_|UND_ERR_)/, "it does not speak HTTP as it should", false],
];

/** What a connection to `url` failed with, as undici and Node say it. */
export function brokenConnection(url: URL, error: unknown): EndpointError {
  const { code: given, errors } = (error ?? {}) as { code?: unknown; errors?: unknown[] };
  const code = String(given ?? (errors?.[0] as { code?: unknown })?.code ?? "");
  const [, why, passes] = reasons.find(([pattern]) => pattern.test(code)) ?? [
    /./,
    "it failed in a way that is not known",
    false,
  ];
  return new EndpointError(
    "ENDPOINT_FAILED",
    `The endpoint ${url.origin} can't be used: ${why}${code === "" ? "" : ` (${code})`}. Check ` +
      `"ringside.endpoint", and whether its server runs.`,
    { passes, cause: error },
  );
}

/** Nothing came for `ms`, `when`. */
export function silence(url: URL, ms: number, when: string): EndpointError {
  const time = ms < 1000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`;
  return new EndpointError(
    "ENDPOINT_FAILED",
    `The endpoint ${url.origin} said nothing for ${time} ${when}. It may be overloaded, or still ` +
      "loading its model.",
    { passes: true },
  );
}

/** The answer did not end within `ms`. */
export function endless(url: URL, ms: number): EndpointError {
  return nonsense(url, `did not end its answer within ${ms} ms`);
}

/** The endpoint answered with what is no answer. */
export function nonsense(url: URL, what: string): EndpointError {
  return new EndpointError(
    "ENDPOINT_FAILED",
    `The endpoint ${url.origin} ${what}. Check that "ringside.endpoint" is the address of an ` +
      "OpenAI-compatible API, which mostly ends in /v1.",
  );
}
