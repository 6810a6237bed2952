// Downloads the files of a model. The only file of Ringside that opens a connection, and only for a
// model that the user asked for by name.
//
// A job survives what connections do: it goes on where it stopped (Range with If-Range), tries again
// with longer and longer waits, and gives a file its name only when all of it is there and checked.

import { mkdir, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Dispatcher, EnvHttpProxyAgent, request } from "undici";
import { RingsideError } from "../errors";
import { ensureSpace, onDisk } from "./disk";
import type { RemoteFile } from "./files";
import { withLock } from "./lock";
import { type Identity, PartFile, partSize } from "./part";
import { bytesText } from "../units";
import { Meter, type Progress } from "./progress";
import { environmentProxy, type ProxySettings } from "./proxy";
import { Passing, passingOf, type Reply, redirected, refusal, replyOf } from "./reply";

export interface DownloadOptions {
  /** Made if it isn't there. */
  readonly directory: string;
  readonly base?: string;
  readonly proxy?: ProxySettings;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly limits?: Partial<Limits>;
  /** Bytes free for `directory`. */
  readonly freeBytes?: (directory: string) => Promise<number>;
}

export interface Downloaded {
  readonly path: string;
  readonly bytes: number;
  /** null: the file was there before. */
  readonly sha256: string | null;
  /** Whether a SHA-256 was known that this one equals. */
  readonly verified: boolean;
}

export interface Limits {
  readonly connectMs: number;
  /** How long a server may say nothing. */
  readonly idleMs: number;
  /** Tries in a row that bring no byte that was not there before. */
  readonly attempts: number;
  /** The first wait between tries; each is twice the one before, up to `longestWaitMs`. */
  readonly waitMs: number;
  readonly longestWaitMs: number;
  /** The longest wait that a server may ask for. */
  readonly retryAfterMs: number;
  readonly redirects: number;
}

const defaultLimits: Limits = {
  connectMs: 15_000,
  idleMs: 30_000,
  attempts: 5,
  waitMs: 500,
  longestWaitMs: 15_000,
  retryAfterMs: 120_000,
  redirects: 5,
};

export const defaultBase = "https://huggingface.co";

interface Job {
  readonly options: DownloadOptions;
  readonly limits: Limits;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
  readonly meter: Meter;
}

interface Target {
  readonly file: RemoteFile;
  readonly url: URL;
  readonly path: string;
}

/**
 * Brings `files` into `directory`, one after the other; those that are there already stay. Rejects
 * with AbortError once `signal` fires, and with a coded error if it can't be done: either way what
 * came stays in `.part` files, and the next call goes on from there.
 */
export async function download(
  files: readonly RemoteFile[],
  options: DownloadOptions,
): Promise<Downloaded[]> {
  const { signal, proxy = environmentProxy, onProgress = () => {} } = options;
  signal.throwIfAborted();
  const limits = { ...defaultLimits, ...options.limits };
  const targets = files.map((file) => targetOf(file, options));
  const dispatcher = dispatcherFor(proxy, limits);
  const job: Job = { options, limits, dispatcher, signal, meter: new Meter(null, onProgress) };
  try {
    await onDisk(options.directory, () => mkdir(options.directory, { recursive: true }));
    await measure(job, targets);
    const done: Downloaded[] = [];
    for (const target of targets) {
      await onDisk(target.path, () => mkdir(dirname(target.path), { recursive: true }));
      done.push((await present(target)) ?? (await withLock(target.path, () => bring(job, target))));
    }
    return done;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await dispatcher.destroy();
  }
}

function targetOf(file: RemoteFile, { base = defaultBase, directory }: DownloadOptions): Target {
  const local = normalize(file.path);
  if (isAbsolute(local) || local.split(/[\\/]/).includes("..")) {
    throw new RingsideError("BAD_REQUEST", `"${file.path}" is no path inside a folder.`);
  }
  const parts = [file.repository, "resolve", file.revision, file.path].join("/").split("/");
  const address = `${base.replace(/\/+$/, "")}/${parts.map(encodeURIComponent).join("/")}`;
  if (!/^https?:\/\/[^/@]+(\/|$)/i.test(base) || !URL.canParse(address)) {
    throw new RingsideError(
      "BAD_REQUEST",
      `The mirror "${base.replace(/\/\/.*@/, "//…@")}" must be an https address without a login. ` +
        `Set "ringside.mirror" to one, or to null for ${defaultBase}.`,
    );
  }
  return { file, url: new URL(address), path: join(directory, local) };
}

function dispatcherFor(settings: ProxySettings, { connectMs }: Limits): Dispatcher {
  const { proxy, noProxy, strictSsl, authorization } = settings;
  const connect = { timeout: connectMs, rejectUnauthorized: strictSsl };
  const { env } = process;
  const direct = noProxy.length > 0 ? noProxy.join(",") : (env.no_proxy ?? env.NO_PROXY ?? "");
  return new EnvHttpProxyAgent({
    connect,
    proxyTls: connect,
    requestTls: connect,
    noProxy: `${direct},localhost,127.0.0.1,[::1]`, // this machine is never behind a proxy
    ...(proxy !== null && { httpProxy: proxy, httpsProxy: proxy }),
    ...(authorization !== null && { token: authorization }),
  });
}

/** The file if it is there under its name, where nothing is ever that isn't whole. */
async function present({ path, file }: Target): Promise<Downloaded | null> {
  const size = await stat(path).then(
    (found) => found.size,
    () => null,
  );
  if (size === null || (file.bytes !== null && size !== file.bytes)) return null;
  return { path, bytes: size, sha256: null, verified: false };
}

/** Finds the job's size, and whether the disk has room for what is still to come. */
async function measure(job: Job, targets: readonly Target[]): Promise<void> {
  let total: number | null = 0;
  let toCome = 0;
  for (const target of targets) {
    const there = await present(target);
    const bytes = there?.bytes ?? target.file.bytes ?? (await sizeAtServer(job, target));
    if (bytes === null || total === null) total = null;
    else total += bytes;
    if (there === null && bytes !== null) {
      toCome += Math.max(0, bytes - (await partSize(target.path)));
    }
  }
  job.meter.total = total;
  await ensureSpace(job.options.directory, toCome, job.options.freeBytes);
}

/** Null: the server does not say, or not now; the download itself will tell. */
async function sizeAtServer(job: Job, target: Target): Promise<number | null> {
  try {
    const reply = await follow(job, "HEAD", target.url, {});
    return reply.status === 200 ? (reply.linkedBytes ?? reply.length) : null;
  } catch (error) {
    job.signal.throwIfAborted();
    passingOf(error, target.url);
    return null;
  }
}

/** Brings one file: tries until it is whole, or until as many tries as allowed brought nothing. */
async function bring(job: Job, target: Target): Promise<Downloaded> {
  const { file, path, url } = target;
  const meanwhile = await present(target); // another process's, whose lock was just released
  if (meanwhile !== null) return meanwhile;
  const checked = (bytes: number) => job.meter.at(file.path, bytes, 0, "checking");
  const part = await onDisk(path, () => PartFile.open(path, file.sha256, job.signal, checked));
  try {
    let furthest = part.size;
    for (let failures = 0; !(await isWhole(target, part)); ) {
      const problem = await attempt(job, target, part);
      if (problem === null) break;
      failures = part.size > furthest ? 0 : failures + 1;
      furthest = Math.max(furthest, part.size);
      if (failures >= job.limits.attempts) {
        throw new RingsideError(
          "DOWNLOAD_FAILED",
          `${url} can't be had: ${problem.message}. ${bytesText(part.size)} came and are kept; ` +
            "the same download goes on from there. Check the connection and the proxy.",
        );
      }
      await sleep(waitFor(job, problem, failures), undefined, { signal: job.signal });
    }
    const wanted = file.sha256 ?? part.identity.sha256;
    const sha256 = await onDisk(path, () => part.finish(wanted, url.href));
    job.meter.finish(file.path, part.size);
    return { path, bytes: part.size, sha256, verified: wanted !== null };
  } finally {
    await part.close();
  }
}

/** Whether nothing is missing: an earlier try may have ended between the last byte and the name. */
async function isWhole({ file, path }: Target, part: PartFile): Promise<boolean> {
  const total = file.bytes ?? part.identity.total;
  if (total === null || part.size < total) return false;
  if (part.size > total) await onDisk(path, () => part.restart());
  return part.size === total;
}

function waitFor({ limits }: Job, { retryAfterMs }: Passing, failures: number): number {
  if (retryAfterMs !== null) return retryAfterMs;
  const longest = Math.min(limits.longestWaitMs, limits.waitMs * 2 ** failures);
  return longest * (0.5 + Math.random() / 2); // so that a team does not come back all at once
}

/** Asks for what is missing and appends it: null once the file is whole, else why it is not yet. */
async function attempt(job: Job, target: Target, part: PartFile): Promise<Passing | null> {
  try {
    await receive(job, target, part);
    return null;
  } catch (error) {
    job.signal.throwIfAborted();
    return passingOf(error, target.url);
  }
}

async function receive(job: Job, target: Target, part: PartFile): Promise<void> {
  const { file, path, url } = target;
  if (!part.continues) await onDisk(path, () => part.restart());
  const { etag, lastModified } = part.identity;
  const validator = etag ?? lastModified;
  const headers: Record<string, string> = {};
  if (part.size > 0) headers.range = `bytes=${part.size}-`;
  if (part.size > 0 && validator !== null) headers["if-range"] = validator;
  const reply = await follow(job, "GET", url, headers);
  try {
    const total = await accept(job, target, part, reply);
    if (total !== null && part.size === total) return;
    if (total !== null) {
      const { directory, freeBytes } = job.options;
      await ensureSpace(directory, total - part.size, freeBytes);
    }
    const identity = identityOf(part.identity, reply, total, file);
    await onDisk(path, () => part.identify(identity));
    for await (const chunk of reply.body as AsyncIterable<Buffer>) {
      await onDisk(path, () => part.append(chunk));
      job.meter.at(file.path, part.size, chunk.length);
    }
    if (total === null || part.size === total) return;
    throw new Passing(`it ended after ${part.size} of ${total} bytes`);
  } finally {
    reply.body.destroy();
  }
}

/** `before` is of the same file, or unknown: then only the reply and the catalogue say what it is. */
function identityOf(
  before: Identity,
  reply: Reply,
  total: number | null,
  file: RemoteFile,
): Identity {
  return {
    etag: reply.etag ?? before.etag,
    lastModified: reply.lastModified ?? before.lastModified,
    total: total ?? before.total,
    sha256: file.sha256 ?? reply.linkedSha256 ?? before.sha256,
  };
}

/**
 * Makes `part` agree with what the reply goes on to send, and returns the size of the whole file.
 * Throws if the reply is no part of it.
 */
async function accept(
  job: Job,
  { file, path, url }: Target,
  part: PartFile,
  reply: Reply,
): Promise<number | null> {
  const { status, range } = reply;
  const before = part.identity;
  const afresh = async (why: string) => {
    await onDisk(path, () => part.restart());
    return new Passing(why);
  };
  if (status === 416) {
    if (range?.total === part.size) return part.size;
    throw await afresh("the server has no such part of it");
  }
  if (status !== 200 && status !== 206) {
    throw refusal(url, reply, job.limits.retryAfterMs);
  }
  if (reply.encoded || reply.page) {
    const what = reply.page ? "a web page, perhaps to log in to the network" : "compressed";
    throw new RingsideError(
      "DOWNLOAD_FAILED",
      `What comes from ${url} is ${what}, not the file. Open it in a browser, or check the mirror.`,
    );
  }
  const total = status === 206 ? (range?.total ?? before.total) : reply.length;
  if (file.bytes !== null && total !== null && total !== file.bytes) {
    throw new RingsideError(
      "MODEL_CORRUPT",
      `${url} has ${total} bytes, not ${file.bytes}: it is not the file that the catalogue means. ` +
        'Try another mirror ("ringside.mirror").',
    );
  }
  if (status === 200) {
    if (part.size > 0) await onDisk(path, () => part.restart()); // it ignores Range, or it changed
    return total;
  }
  if (range === null || range.start !== part.size) {
    throw await afresh("the server sent another part than was asked for");
  }
  const changed =
    differ(before.total, total) ||
    differ(before.etag, reply.etag) ||
    differ(before.sha256, reply.linkedSha256);
  if (changed) throw await afresh("the file changed at the server");
  return total;
}

function differ<Value>(before: Value | null, now: Value | null): boolean {
  return before !== null && now !== null && before !== now;
}

/** A reply with what is to be read: its `body` has to be read or destroyed. */
interface Received extends Reply {
  readonly body: Dispatcher.ResponseData["body"];
}

const redirects = new Set([301, 302, 303, 307, 308]);

/** Asks for `url`, following redirects. */
async function follow(
  job: Job,
  method: "GET" | "HEAD",
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Received> {
  const { dispatcher, limits, signal } = job;
  const timeouts = { headersTimeout: limits.idleMs, bodyTimeout: limits.idleMs };
  let at = url;
  let linked: Partial<Reply> = {};
  for (let hops = 0; hops <= limits.redirects; hops++) {
    const response = await request(at, {
      method,
      headers: { "accept-encoding": "identity", "user-agent": "ringside", ...headers },
      dispatcher,
      signal,
      ...timeouts,
    });
    const { body } = response;
    body.on("error", () => {}); // whoever reads it hears of it there
    const reply = replyOf(response.statusCode, response.headers);
    const { linkedBytes, linkedSha256 } = reply;
    if (linkedBytes !== null || linkedSha256 !== null) linked = { linkedBytes, linkedSha256 };
    if (!redirects.has(reply.status)) return { ...reply, ...linked, body };
    body.destroy();
    // A signed address that a redirect leads to may be for GET alone, and the size is known here.
    if (method === "HEAD" && linkedBytes !== null) return { ...reply, status: 200, body };
    at = redirected(at, reply);
  }
  throw new RingsideError(
    "DOWNLOAD_FAILED",
    `${url} leads on and on: more than ${limits.redirects} redirects. Check the mirror.`,
  );
}
