// Downloads from a server that misbehaves. Whatever it does, a file has its name only when it is
// whole and right, and every failure has a code and says what to do.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import fc from "fast-check";
import { isAbort, RingsideError } from "../../../server/errors";
import { type DownloadOptions, download } from "../../../server/models/download";
import type { RemoteFile } from "../../../server/models/files";
import { withLock } from "../../../server/models/lock";
import type { Progress } from "../../../server/models/progress";
import { environmentProxy } from "../../../server/models/proxy";
import {
  answers,
  breaksAfter,
  changes,
  changesWithoutSaying,
  endsAfter,
  endsPartAfter,
  type Fault,
  FileServer,
  ignoresRange,
  redirectsTo,
  stallsAfter,
  startProxy,
} from "./server";

const quick = { connectMs: 2000, idleMs: 1000, attempts: 3, waitMs: 1, longestWaitMs: 4 };
const whole = Symbol("whole");

let server: FileServer;
let directory: string;

beforeEach(async () => {
  server = await FileServer.start();
  directory = await mkdtemp(join(tmpdir(), "ringside-download-"));
  server.part = join(directory, "model.gguf.part");
});
afterEach(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

function options(changed: Partial<DownloadOptions> = {}): DownloadOptions {
  const { signal } = new AbortController();
  return { directory, base: server.base, signal, limits: quick, ...changed };
}

/** Downloads `file`: it has to be whole and right afterwards, or not there at all. */
async function outcome(
  file: RemoteFile,
  changed: Partial<DownloadOptions> = {},
): Promise<RingsideError | typeof whole> {
  const path = join(directory, file.path);
  const ended = await download([file], options(changed)).then(
    () => whole,
    (error: unknown) => error,
  );
  assert.ok(!existsSync(`${path}.lock`), "a lock was left");
  if (ended === whole) {
    assert.deepEqual(readFileSync(path), server.content);
    assert.deepEqual(readdirSync(directory), [file.path], "something was left");
    return whole;
  }
  assert.ok(!existsSync(path), "a file has its name that is not whole");
  if (ended instanceof RingsideError) return ended;
  throw ended;
}

interface Expected {
  readonly code?: string;
  readonly says?: RegExp;
  readonly asked?: readonly string[];
  readonly file?: Partial<RemoteFile>;
  readonly idleMs?: number;
}

/** A server with `faults` leads to the whole file, or to `code`. */
async function check(
  faults: Fault[],
  { code, says = /./, asked, file, idleMs = quick.idleMs }: Expected = {},
) {
  server.faults = faults;
  const ended = await outcome(server.file(file), { limits: { ...quick, idleMs } });
  if (code === undefined) assert.equal(ended, whole);
  else {
    assert.ok(ended instanceof RingsideError, "it did not fail");
    assert.equal(ended.code, code);
    assert.match(ended.message, says);
  }
  if (asked !== undefined) assert.deepEqual(server.asked, asked);
}

/** A part of `bytes` is there from a try that was cancelled. */
async function leavePart(bytes: number, file = server.file()): Promise<void> {
  const controller = new AbortController();
  server.faults = [stallsAfter(bytes)];
  const onProgress = (progress: Progress) => {
    if (progress.bytes >= bytes) controller.abort();
  };
  const limits = { ...quick, idleMs: 5000 };
  const job = download([file], options({ signal: controller.signal, onProgress, limits }));
  const late = setTimeout(() => controller.abort(), 300); // progress is told ten times a second
  await assert.rejects(job, isAbort);
  clearTimeout(late);
  assert.equal(statSync(join(directory, `${file.path}.part`)).size, bytes);
  server.asked.length = 0;
}

suite("download", () => {
  test("brings a file", () => check([], { asked: ["all"] }));
  test("brings an empty file", async () => {
    server.content = Buffer.alloc(0);
    await check([]);
    await rm(join(directory, "model.gguf"));
    await check([], { file: { bytes: null, sha256: null } });
  });
  test("says what came, and that it is the one it should be", async () => {
    const file = server.file();
    const path = join(directory, file.path);
    const bytes = server.content.length;
    const first = await download([file], options());
    assert.deepEqual(first, [{ path, bytes, sha256: file.sha256, verified: true }]);
    const again = await download([file], options());
    assert.deepEqual(again, [{ path, bytes, sha256: null, verified: false }]);
    assert.deepEqual(server.asked, ["all"]);
  });
  test("brings a file of which nothing is known", () =>
    check([], { file: { bytes: null, sha256: null } }));

  test("goes on where a connection broke", () =>
    check([breaksAfter(100_000), breaksAfter(50_000)], {
      asked: ["all", "100000-", "150000-"],
    }));
  test("goes on where a server stalls", () =>
    check([stallsAfter(100_000)], { asked: ["all", "100000-"] }));
  test("goes on for as long as bytes come", () =>
    check(Array.from({ length: 12 }, () => breaksAfter(10_000))));
  test("gives up when none comes", () =>
    check([breaksAfter(100_000), ...Array.from({ length: 9 }, () => breaksAfter(0))], {
      code: "DOWNLOAD_FAILED",
      says: /the connection broke.*100 kB came and are kept/,
      asked: ["all", "100000-", "100000-", "100000-"],
    }));
  test("gives up where a server always starts again and never gets further", () =>
    check(
      Array.from({ length: 20 }, () => (s, q, r) => {
        delete q.headers.range;
        stallsAfter(50_000)(s, q, r);
      }),
      { code: "DOWNLOAD_FAILED", asked: ["all", "50000-", "50000-", "50000-"], idleMs: 200 },
    ));
  test("starts again where a server ignores Range", () =>
    check([breaksAfter(100_000), ignoresRange], { asked: ["all", "100000-"] }));
  test("starts again when the file changed, and takes none of the old one", () =>
    check([breaksAfter(100_000), changes], { file: { sha256: null } }));
  test("starts again when the file changed at a server without If-Range", () =>
    check([breaksAfter(100_000), changesWithoutSaying], {
      asked: ["all", "100000-", "all"],
    }));
  test("notices a file that ends early", async () => {
    await check([endsAfter(1000), endsAfter(1000), endsAfter(1000)], { code: "MODEL_CORRUPT" });
  });
  test("goes on where a part of the rest ends early", () =>
    check([breaksAfter(100_000), endsPartAfter(50_000)], { asked: ["all", "100000-", "150000-"] }));
  test("starts again where nothing says that the file is the same", async () => {
    server.saysEtag = false;
    const file = { sha256: null };
    await check([breaksAfter(100_000)], { asked: ["all", "all"], file });
  });
  test("goes on without an ETag where the SHA-256 will tell", async () => {
    server.saysEtag = false;
    await check([breaksAfter(100_000)], { asked: ["all", "100000-"] });
  });
  test("starts again when the server knows no such part", () =>
    check([breaksAfter(100_000), answers(416, { "content-range": "bytes */5" })], {
      asked: ["all", "100000-", "all"],
    }));
  test("starts again when another part comes", () =>
    check(
      [
        breaksAfter(100_000),
        (s, _, r) => {
          const range = { "content-range": `bytes 7-299999/300000`, "content-length": "299993" };
          r.writeHead(206, range).end(s.content.subarray(7));
        },
      ],
      { asked: ["all", "100000-", "all"] },
    ));

  test("waits when the server is busy", () =>
    check([answers(429, { "retry-after": "0" }), answers(503)]));
  test("waits as long as the server asks", async () => {
    const start = performance.now();
    await check([answers(429, { "retry-after": "1" })]);
    assert.ok(performance.now() - start >= 990); // timers may fire a little early
  });
  test("does not wait for an hour", () =>
    check([answers(429, { "retry-after": "3600" })], {
      code: "DOWNLOAD_FAILED",
      says: /asks to wait 1 h 0 min/,
      asked: ["all"],
    }));
  test("gives up when the server stays busy", () =>
    check([answers(500), answers(502), answers(504), answers(500)], {
      code: "DOWNLOAD_FAILED",
      says: /answered 504/,
      asked: ["all", "all", "all"],
    }));
  for (const [status, says] of [
    [401, /licence/],
    [403, /licence/],
    [404, /moved/],
    [410, /410/],
  ] as const) {
    test(`asks once where the answer is ${status}`, () =>
      check([answers(status)], { code: "DOWNLOAD_FAILED", says, asked: ["all"] }));
  }
  test("takes no web page for a model", () =>
    check([answers(200, { "content-type": "text/html; charset=utf-8" })], {
      code: "DOWNLOAD_FAILED",
      says: /web page/,
      file: { bytes: null, sha256: null },
    }));
  test("takes nothing compressed", () =>
    check([answers(200, { "content-encoding": "gzip" })], {
      code: "DOWNLOAD_FAILED",
      says: /compressed/,
      file: { bytes: null },
    }));
  test("says when nothing answers", async () => {
    const ended = (await outcome(server.file(), { base: "http://127.0.0.1:1" })) as RingsideError;
    assert.equal(ended.code, "DOWNLOAD_FAILED");
    assert.match(ended.message, /nothing answers there/);
  });

  test("refuses another content, and removes it", async () => {
    await check([], { code: "MODEL_CORRUPT", file: { sha256: "0".repeat(64) } });
    assert.deepEqual(readdirSync(directory), []);
  });
  test("refuses another size before it comes", async () => {
    await check([], { code: "MODEL_CORRUPT", says: /300000 bytes, not 5/, file: { bytes: 5 } });
  });
  test("checks what the server says of a file that isn't in the catalogue", () =>
    check([redirectsTo("/elsewhere", { "x-linked-etag": `"${"0".repeat(64)}"` })], {
      code: "MODEL_CORRUPT",
      file: { sha256: null },
    }));

  test("follows a redirect on the same host", () => check([redirectsTo("/elsewhere")]));
  test("follows no redirect to another host over http", () =>
    check([redirectsTo("http://models.invalid/")], { code: "DOWNLOAD_FAILED", says: /invalid/ }));
  test("follows no redirect to another protocol", () =>
    check([redirectsTo("file:///etc/passwd")], { code: "DOWNLOAD_FAILED", says: /not followed/ }));
  test("follows no loop", () =>
    check(
      Array.from({ length: 9 }, () => redirectsTo("/loop")),
      { code: "DOWNLOAD_FAILED", says: /more than 5 redirects/ },
    ));
  test("goes on behind a redirect", () =>
    check([redirectsTo("/a"), breaksAfter(100_000), redirectsTo("/b")], {
      asked: ["all", "all", "100000-", "100000-"],
    }));
});

suite("download, cancelled and taken up again", () => {
  test("goes on from where it was cancelled, byte for byte", async () => {
    await leavePart(123_456);
    await check([], { asked: ["123456-"] });
    assert.equal(server.headers.at(-1)!["if-range"], server.etag);
  });
  test("goes on without knowing the SHA-256", async () => {
    const file = server.file({ sha256: null, bytes: null });
    await leavePart(123_456, file);
    await check([], { asked: ["123456-"], file });
  });
  test("starts again if the file changed in between", async () => {
    const file = server.file({ sha256: null });
    await leavePart(123_456, file);
    server.content = randomBytes(300_000);
    server.version++;
    await check([], { asked: ["123456-"], file });
  });
  test("starts again if the catalogue means another file now", async () => {
    await leavePart(123_456);
    server.content = randomBytes(300_000);
    server.version++;
    await check([], { asked: ["all"] });
  });
  test("starts again if nothing says what the part is of", async () => {
    await leavePart(123_456, server.file({ sha256: null }));
    await writeFile(join(directory, "model.gguf.part.json"), "{torn");
    await check([], { asked: ["all"] });
  });
  test("finds bytes that changed on the disk", async () => {
    await leavePart(123_456);
    await writeFile(join(directory, "model.gguf.part"), randomBytes(123_456));
    await check([], { code: "MODEL_CORRUPT" });
    await check([]);
  });
  test("asks for nothing if only the name was missing", async () => {
    await leavePart(123_456);
    await writeFile(join(directory, "model.gguf.part"), server.content);
    await check([], { asked: [] });
  });
  test("starts again if the part is longer than the file", async () => {
    await leavePart(123_456);
    await writeFile(join(directory, "model.gguf.part"), randomBytes(300_001));
    await check([], { asked: ["all"] });
  });
  test("asks for nothing once cancelled", async () => {
    await assert.rejects(
      download([server.file()], options({ signal: AbortSignal.abort() })),
      isAbort,
    );
    assert.deepEqual(server.asked, []);
  });
  test("is cancelled while it waits for another try", async () => {
    const controller = new AbortController();
    server.faults = [answers(503, { "retry-after": "60" })];
    const job = download([server.file()], options({ signal: controller.signal }));
    setTimeout(() => controller.abort(), 100);
    await assert.rejects(job, isAbort);
  });
  test("goes on after the process was killed", async () => {
    const file = server.file();
    server.faults = [stallsAfter(123_456)];
    const job = `{ directory: ${JSON.stringify(directory)}, base: "${server.base}", signal }`;
    const code =
      'const { download } = require("./server/models/download");' +
      `const { signal } = new AbortController(); download([${JSON.stringify(file)}], ${job});`;
    const child = spawn(process.execPath, [...process.execArgv, "--eval", code], {
      cwd: join(__dirname, "../../.."),
      stdio: "inherit",
    });
    const part = join(directory, "model.gguf.part");
    while (!existsSync(part) || statSync(part).size < 123_456) {
      assert.equal(child.exitCode, null, "the process ended");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const gone = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    assert.ok(existsSync(join(directory, "model.gguf.lock")));
    server.asked.length = 0;
    await check([], { asked: ["123456-"] });
  });
});

suite("download and the disk", () => {
  const free = (bytes: number) => ({ freeBytes: async () => bytes });

  test("asks for room first", async () => {
    const ended = (await outcome(server.file(), free(64_299_999))) as RingsideError;
    assert.equal(ended.code, "DISK_FULL");
    assert.match(ended.message, /300 kB are still to come.*has 64 MB free/);
    assert.deepEqual(server.asked, []);
    assert.equal(await outcome(server.file(), free(64_300_000)), whole);
  });
  test("asks for room for the rest alone", async () => {
    await leavePart(200_000);
    assert.equal(await outcome(server.file(), free(64_100_000)), whole);
  });
  test("asks for room when the server says the size", async () => {
    const file = server.file({ bytes: null });
    assert.equal(((await outcome(file, free(1e6))) as RingsideError).code, "DISK_FULL");
    assert.deepEqual(server.asked, []); // a HEAD was enough
  });
  test("says when it can't write", async () => {
    await writeFile(join(directory, "file"), "");
    const below = { directory: join(directory, "file", "models") };
    await assert.rejects(download([server.file()], options(below)), (error: RingsideError) => {
      assert.equal(error.code, "DOWNLOAD_FAILED");
      assert.match(error.message, /Can't write .*modelsDirectory/);
      return true;
    });
  });
  test("writes nowhere else", async () => {
    for (const path of ["../model.gguf", "a/../../model.gguf", "/model.gguf"]) {
      await assert.rejects(download([server.file({ path })], options()), { code: "BAD_REQUEST" });
    }
  });
});

suite("download, one at a time", () => {
  const path = () => join(directory, "model.gguf");
  const lock = (holder: object) => writeFile(`${path()}.lock`, JSON.stringify(holder));
  const busy = { code: "DOWNLOAD_FAILED", message: /is downloading this file now/ };

  test("refuses what is under way, and touches nothing", async () => {
    await withLock(path(), async () => {
      await assert.rejects(download([server.file()], options()), busy);
      assert.ok(existsSync(`${path()}.lock`));
    });
    assert.equal(await outcome(server.file()), whole);
  });
  test("brings one of two at once", async () => {
    const jobs = [1, 2, 3].map(() => download([server.file()], options()));
    const ended = await Promise.allSettled(jobs);
    assert.ok(ended.some(({ status }) => status === "fulfilled"));
    assert.deepEqual(readFileSync(path()), server.content);
    assert.deepEqual(server.asked, ["all"]);
  });
  test("takes the lock of a process that is gone", async () => {
    await lock({ id: "x", pid: 2 ** 30, host: hostname() }); // beyond any process's
    assert.equal(await outcome(server.file()), whole);
  });
  test("respects the lock of another machine", async () => {
    await lock({ id: "x", pid: 2 ** 30, host: `not-${hostname()}` });
    await assert.rejects(download([server.file()], options()), busy);
  });
  test("takes a lock that nobody has touched for long", async () => {
    for (const holder of [{ id: "x", pid: process.pid, host: hostname() }, {}]) {
      await lock(holder);
      const long = new Date(Date.now() - 120_000);
      await utimes(`${path()}.lock`, long, long);
      assert.equal(await outcome(server.file()), whole);
      await rm(path());
    }
  });
});

suite("download of several files", () => {
  test("is one job with one total", async () => {
    const files = ["config.json", "a/weights-1", "a/weights-2"].map((path) =>
      server.file({ path, bytes: path === "config.json" ? null : 300_000 }),
    );
    const told: Progress[] = [];
    server.faults = [stallsAfter(100)];
    const results = await download(files, options({ onProgress: (each) => told.push(each) }));
    assert.deepEqual(
      results.map(({ path }) => path),
      files.map(({ path }) => join(directory, path)),
    );
    for (const { path } of results) assert.deepEqual(readFileSync(path), server.content);
    assert.deepEqual(told.at(-1)!.bytes, 900_000);
    for (const [index, { total, bytes }] of told.entries()) {
      assert.equal(total, 900_000);
      assert.ok(bytes >= (told[index - 1]?.bytes ?? 0), "progress went back");
    }
  });
  test("keeps what is there when a later one fails", async () => {
    const files = ["one", "two"].map((path) => server.file({ path }));
    server.faults = [(s, q, r) => s.send(q, r), answers(404)];
    await assert.rejects(download(files, options()), { code: "DOWNLOAD_FAILED" });
    server.asked.length = 0;
    await download(files, options());
    assert.deepEqual(server.asked, ["all"]);
  });
});

suite("download through a proxy", () => {
  const far = "http://models.invalid"; // a host that only the proxy knows
  const names = ["http_proxy", "https_proxy", "no_proxy"].flatMap((n) => [n, n.toUpperCase()]);
  let before: Record<string, string | undefined>;

  beforeEach(() => {
    before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
    for (const name of names) delete process.env[name];
  });
  afterEach(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  async function through(
    password: string | null,
    work: (proxy: { url: string; asked: string[] }) => Promise<void>,
  ): Promise<void> {
    const proxy = await startProxy(server.port, password);
    await work(proxy).finally(() => proxy.stop());
  }

  test("takes VS Code's", () =>
    through("Basic abc", async ({ url, asked }) => {
      const proxy = { ...environmentProxy, proxy: url, authorization: "Basic abc" };
      assert.equal(await outcome(server.file(), { base: far, proxy }), whole);
      assert.deepEqual(asked, ["models.invalid:80"]);
    }));
  test("takes the environment's", () =>
    through(null, async ({ url, asked }) => {
      process.env.HTTP_PROXY = url;
      assert.equal(await outcome(server.file(), { base: far }), whole);
      assert.equal(asked.length, 1);
    }));
  test("takes VS Code's before the environment's", () =>
    through(null, async ({ url }) => {
      process.env.HTTP_PROXY = "http://127.0.0.1:1";
      const proxy = { ...environmentProxy, proxy: url };
      assert.equal(await outcome(server.file(), { base: far, proxy }), whole);
    }));
  test("goes around it where it is told to, and on this machine", () =>
    through(null, async ({ url, asked }) => {
      const proxy = { ...environmentProxy, proxy: url, noProxy: ["models.invalid"] };
      const ended = (await outcome(server.file(), { base: far, proxy })) as RingsideError;
      assert.match(ended.message, /its host isn't known/);
      assert.equal(await outcome(server.file(), { proxy }), whole);
      assert.deepEqual(asked, []);
    }));
  test("says when it wants a login", () =>
    through("Basic abc", async ({ url, asked }) => {
      const proxy = { ...environmentProxy, proxy: url };
      const ended = (await outcome(server.file(), { base: far, proxy })) as RingsideError;
      assert.match(ended.message, /The proxy answered 407.*http\.proxyAuthorization/);
      assert.equal(asked.length, 1);
    }));
});

suite("download from any server", () => {
  const size = fc.integer({ min: 0, max: 320_000 });
  const fault: fc.Arbitrary<Fault> = fc.oneof(
    size.map(breaksAfter),
    fc.constantFrom(answers(500), answers(429, { "retry-after": "0" }), answers(416)),
    fc.constantFrom(ignoresRange, changes, changesWithoutSaying, redirectsTo("/elsewhere")),
    size.map(stallsAfter),
  );
  test("is whole and right, or fails with a code", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 6 }), fc.boolean(), async (faults, knows) => {
        const limits = { ...quick, idleMs: 60 };
        server.faults = [...faults];
        const known = knows ? {} : { bytes: null, sha256: null };
        const ended = await outcome(server.file(known), { limits });
        if (ended !== whole) {
          assert.match(ended.code, /^(DOWNLOAD_FAILED|MODEL_CORRUPT)$/);
          server.faults = [];
          const again = await outcome(server.file(known), { limits });
          if (again !== whole) assert.equal(await outcome(server.file(known)), whole);
        }
        await rm(join(directory, "model.gguf"));
      }),
      { numRuns: 40 },
    ));
});
