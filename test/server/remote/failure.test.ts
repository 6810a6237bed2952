import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { brokenConnection, refusal, withoutEcho, wordsOf } from "../../../server/remote/failure";

const url = new URL("http://gpu-box:8000/v1/completions");

/** What is said of a connection that failed with `code`, and whether trying again may help. */
function check(code: string, says: RegExp, passes: boolean) {
  const error = brokenConnection(url, Object.assign(new Error("x"), { code }));
  assert.match(error.message, says);
  assert.match(
    error.message,
    /^The endpoint http:\/\/gpu-box:8000 can't be used: .*Check "ringside/,
  );
  assert.deepEqual([error.code, error.passes], ["ENDPOINT_FAILED", passes]);
}

suite("failures of endpoints", () => {
  test("say why there is no connection", () => {
    check("ECONNREFUSED", /nothing listens there/, true);
    check("ENOTFOUND", /its name is not known/, true);
    check("UND_ERR_CONNECT_TIMEOUT", /it does not answer/, true);
    check("EHOSTUNREACH", /there is no way to it/, true);
    check("UND_ERR_SOCKET", /it broke the connection off/, true);
    check("EPROTO", /perhaps http:\/\/ is meant/, false);
    check("DEPTH_ZERO_SELF_SIGNED_CERT", /its certificate is not trusted/, false);
    check("ERR_TLS_CERT_ALTNAME_INVALID", /its certificate is not trusted/, false);
    check("HPE_INVALID_CONSTANT", /does not speak HTTP/, false);
    check("UND_ERR_HEADERS_OVERFLOW", /does not speak HTTP/, false);
    check("ENEW", /in a way that is not known \(ENEW\)/, false);
  });
  test("say it of a name with several addresses too", () => {
    const both = new AggregateError([Object.assign(new Error("x"), { code: "ECONNREFUSED" })]);
    assert.match(brokenConnection(url, both).message, /nothing listens there/);
    assert.match(brokenConnection(url, undefined).message, /not known/);
  });
  test("have the server's words, on one line and not too many", () => {
    const says = (body: unknown) => wordsOf(typeof body === "string" ? body : JSON.stringify(body));
    assert.equal(says({ error: { message: "no\nroom" } }), "no room"); // OpenAI's, vLLM's
    assert.equal(says({ error: "no room" }), "no room"); // Ollama's
    assert.equal(says({ detail: "no room" }), "no room"); // FastAPI's
    assert.equal(says({ detail: [{ loc: ["body", "suffix"] }] }), '[{"loc":["body","suffix"]}]');
    const input = { prompt: "const secret = 1;" }; // FastAPI repeats what it was sent: the code
    assert.equal(says({ detail: [{ msg: "no", input }] }), '[{"msg":"no"}]');
    assert.equal(says({ message: "no room" }), "no room");
    assert.equal(says("<h1>\u001b[31mno</h1>"), "<h1> [31mno</h1>");
    assert.equal(says("null"), "null");
    assert.equal(says(""), "");
    assert.equal(says("x".repeat(1000)).length, 301);
  });
  test("have nothing of the code that the server quotes", () => {
    const prompt = 'const secret = "42";\nfunction tell() {\n  return secret;\n}\n';
    const sent = { model: "Qwen/Qwen2.5-Coder-7B", prompt, temperature: 0 };
    const python = `{'type': 'x', 'input': '${prompt.replaceAll("\n", "\\n")}'} is too much`;
    assert.equal(withoutEcho(python, sent), "{'type': 'x', 'input': '…'} is too much");
    const json = withoutEcho(`bad: ${JSON.stringify(sent)}`, sent);
    assert.equal(json, 'bad: {"model":"Qwen/Qwen2.5-Coder-7B","prompt":…,"temperature":0}');
    const missing = "The model Qwen/Qwen2.5-Coder-7B does not exist";
    assert.equal(withoutEcho(missing, sent), missing);
    assert.equal(withoutEcho(missing, null), missing);
    assert.equal(withoutEcho("temperature must be 1", sent), "temperature must be 1");
    assert.equal(withoutEcho("no", sent), "no");
    assert.equal(withoutEcho("x".repeat(5000), sent).length, 2000);
  });
  test("know how long a server wants to be left alone", () => {
    const waits = (retryAfter: string) => refusal(url, 429, "", { retryAfter }).retryAfterMs;
    assert.equal(waits("2"), 2000);
    assert.equal(waits(""), null);
    assert.equal(waits("soon"), null);
    const ms = waits(new Date(Date.now() + 5000).toUTCString())!;
    assert.ok(ms > 3000 && ms <= 5000, String(ms));
    assert.equal(waits(new Date(0).toUTCString()), 0);
    assert.equal(refusal(url, 500, "", { retryAfter: "2" }).retryAfterMs, null);
  });
});
