import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { RingsideError } from "../../../server/errors";
import { environmentProxy, readProxySettings } from "../../../server/models/proxy";
import { Passing, passingOf, redirected, replyOf } from "../../../server/models/reply";

const url = new URL("https://models.example/file");

/** A redirect from `from` to `location` leads to `expected`, or nowhere. */
function check(from: string, location: string | undefined, expected: string | null) {
  const reply = replyOf(302, { location });
  if (expected === null) {
    assert.throws(() => redirected(new URL(from), reply), { code: "DOWNLOAD_FAILED" });
  } else assert.equal(redirected(new URL(from), reply).href, expected);
}

suite("redirect", () => {
  test("is followed over https, to any host", () => {
    check("https://a.example/x", "/y", "https://a.example/y");
    check("https://a.example/x", "https://cdn.example/y", "https://cdn.example/y");
    check("http://a.example/x", "https://b.example/y", "https://b.example/y");
  });
  test("is never followed from https to http", () => {
    check("https://a.example/x", "http://a.example/y", null);
    check("https://a.example/x", "http://127.0.0.1/y", null);
  });
  test("is followed over http to the same host or this machine alone", () => {
    check("http://a.example/x", "http://a.example:81/y", "http://a.example:81/y");
    check("http://a.example/x", "http://localhost/y", "http://localhost/y");
    check("http://a.example/x", "http://[::1]/y", "http://[::1]/y");
    check("http://a.example/x", "http://b.example/y", null);
    check("http://a.example/x", "http://127.0.0.1.b.example/y", null);
  });
  test("leads nowhere else", () => {
    check("https://a.example/x", undefined, null);
    check("https://a.example/x", "ftp://a.example/y", null);
    check("https://a.example/x", "https://", null);
  });
});

suite("reply", () => {
  test("has only strong ETags: weak ones promise no bytes", () => {
    assert.equal(replyOf(200, { etag: '"abc"' }).etag, '"abc"');
    assert.equal(replyOf(200, { etag: 'W/"abc"' }).etag, null);
  });
  test("has the range", () => {
    const range = (text: string) => replyOf(206, { "content-range": text }).range;
    assert.deepEqual(range("bytes 5-9/10"), { start: 5, total: 10 });
    assert.deepEqual(range("bytes 5-9/*"), { start: 5, total: null });
    assert.deepEqual(range("bytes */10"), { start: null, total: 10 });
    assert.equal(range("pages 1-2/3"), null);
  });
  test("has what Hugging Face says of the file behind a redirect", () => {
    const sha256 = "Ab".repeat(32);
    const reply = replyOf(302, { "x-linked-size": "12", "x-linked-etag": `"${sha256}"` });
    assert.deepEqual([reply.linkedBytes, reply.linkedSha256], [12, sha256.toLowerCase()]);
    assert.equal(replyOf(302, { "x-linked-etag": '"0123"' }).linkedSha256, null); // a git hash
  });
  test("has the wait, in seconds or until a date", () => {
    const wait = (text: string) => replyOf(429, { "retry-after": text }).retryAfterMs;
    assert.equal(wait("7"), 7000);
    assert.equal(wait("Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    const later = wait(new Date(Date.now() + 60_000).toUTCString())!;
    assert.ok(later > 50_000 && later <= 60_000);
    assert.equal(wait("soon"), null);
  });
  test("is made of any headers", () =>
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("etag", "content-range", "retry-after"), fc.string()),
        (headers) => {
          const { range, retryAfterMs } = replyOf(200, headers);
          assert.ok(range === null || (range.start ?? 0) >= 0);
          assert.ok(retryAfterMs === null || retryAfterMs >= 0);
        },
      ),
    ));
});

suite("a failed connection", () => {
  const failed = (code: string, message = "") => Object.assign(new Error(message), { code });

  test("may pass", () => {
    for (const code of ["ECONNRESET", "ENOTFOUND", "UND_ERR_BODY_TIMEOUT", "EPIPE"]) {
      assert.ok(passingOf(failed(code), url) instanceof Passing);
    }
  });
  test("does not pass where a certificate is not trusted", () => {
    for (const code of [
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "CERT_HAS_EXPIRED",
    ]) {
      assert.throws(() => passingOf(failed(code), url), {
        code: "DOWNLOAD_FAILED",
        message: /models\.example is not trusted.*NODE_EXTRA_CA_CERTS/,
      });
    }
  });
  test("does not pass where the proxy refuses", () => {
    const refused = failed("UND_ERR_ABORTED", "Proxy response (403) !== 200 when HTTP Tunneling");
    assert.throws(() => passingOf(refused, url), { message: /answered 403.*http\.noProxy/ });
  });
  test("is not what a bug is", () => {
    const bug = new TypeError("x is undefined");
    assert.throws(() => passingOf(bug, url), bug);
    const own = new RingsideError("DISK_FULL", "full");
    assert.throws(() => passingOf(own, url), own);
  });
});

suite("proxy settings", () => {
  test("are VS Code's", () => {
    const http = {
      proxy: "http://p:1",
      noProxy: ["a"],
      proxyStrictSSL: false,
      proxyAuthorization: "x",
    };
    assert.deepEqual(readProxySettings(http), {
      proxy: "http://p:1",
      noProxy: ["a"],
      strictSsl: false,
      authorization: "x",
    });
  });
  test("are the environment's where nothing is set", () => {
    const unset = { proxy: "", noProxy: [], proxyStrictSSL: true, proxyAuthorization: null };
    for (const value of [undefined, null, 3, {}, unset]) {
      assert.deepEqual(readProxySettings(value), environmentProxy);
    }
  });
});
