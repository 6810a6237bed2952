import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { RingsideError } from "../../../server/errors";
import type { ChatOptions, Generated, GenerateOptions, Generator } from "../../../server/generator";
import type { RefactorParams, RefactorProgress, RefactorResult } from "../../../server/protocol";
import { wholeBlock } from "../../../server/refactor/rewrite";
import { Refactors } from "../../../server/refactor/refactor";
import { positionOf } from "../../../server/lines";
import { offsetOf } from "../../../server/refactor/text";
import { defaultSettings } from "../../../server/settings";
import { SyntaxTrees } from "../../../server/trees";
import { read, vocabulary } from "../support";

const uri = "file:///p/a.ts";

interface Script {
  /** What is written, a piece at a time. */
  readonly pieces: readonly string[];
  readonly canChat?: boolean;
  readonly stop?: Generated["stop"];
  readonly error?: Error;
  readonly stepMs?: number;
}

/** A model that writes what the script says, and keeps what it was asked. */
class ScriptedModel implements Generator {
  readonly name = "scripted";
  readonly contextTokens = 8192;
  readonly vocabulary = vocabulary;
  readonly asked: { prompt: string; temperature?: number; seed?: number; cancelled: boolean }[] =
    [];

  constructor(private readonly script: Script) {}

  readonly isShared = false;
  get canChat() {
    return this.script.canChat ?? true;
  }

  async generate(prompt: { tokens: Uint32Array }, options: GenerateOptions, signal: AbortSignal) {
    return this.write(read(prompt.tokens), options, options.until, signal);
  }

  async chat(messages: readonly { content: string }[], options: ChatOptions, signal: AbortSignal) {
    const heard = (text: string) => {
      options.onText(text);
      return null;
    };
    return this.write(messages.map(({ content }) => content).join("\n"), options, heard, signal);
  }

  private async write(
    prompt: string,
    { temperature, seed }: { temperature?: number; seed?: number },
    hear: (text: string) => string | null,
    signal: AbortSignal,
  ): Promise<Generated> {
    const { pieces, error, stepMs = 0, stop = "end" } = this.script;
    const entry = {
      prompt,
      ...(temperature !== undefined && { temperature, seed }),
      cancelled: false,
    };
    this.asked.push(entry as (typeof this.asked)[number]);
    let text = "";
    for (const piece of pieces) {
      await delay(stepMs);
      entry.cancelled = signal.aborted;
      signal.throwIfAborted();
      text += piece;
      const kept = hear(text);
      if (kept !== null) return { ...nothing, text: kept };
    }
    if (error !== undefined) throw error;
    return { ...nothing, text, stop };
  }

  close() {}
}

const nothing: Generated = {
  text: "",
  stop: "end",
  tokens: [],
  generatedTokens: 0,
  promptTokens: 0,
  reusedTokens: 0,
  readTokens: 0,
  truncateMs: 0,
  readMs: 0,
  decodeMs: 0,
};

/** The request for the selection that two bars enclose in `source`, or the cursor that one marks. */
function request(source: string, changes: Partial<RefactorParams> = {}) {
  const [before = "", ...rest] = source.split("|");
  const text = before + rest.join("");
  const end = before.length + (rest.length === 2 ? rest[0]!.length : 0);
  const params: RefactorParams = {
    id: "1",
    textDocument: { uri },
    version: 1,
    range: { start: positionOf(text, before.length), end: positionOf(text, end) },
    preset: null,
    instruction: "Do it.",
    problems: [],
    attempt: 0,
    ...changes,
  };
  return { params, document: { uri, languageId: "typescript", version: 1, text } };
}

const others = () => ({
  settings: defaultSettings,
  trees: new SyntaxTrees(),
  excludedBecause: (): string | null => null,
});

interface Ran {
  readonly result: RefactorResult;
  readonly progress: readonly RefactorProgress[];
  readonly model: ScriptedModel;
  /** The document with the result in its place. */
  readonly after: string;
}

async function run(
  source: string,
  script: Script,
  changes: Partial<RefactorParams> = {},
  signal = new AbortController().signal,
): Promise<Ran> {
  const { params, document } = request(source, changes);
  const model = new ScriptedModel(script);
  const progress: RefactorProgress[] = [];
  const services = { engine: model, ...others() };
  const hear = (news: RefactorProgress) => progress.push(news);
  const result = await new Refactors().run(params, document, services, hear, signal);
  const { text } = document;
  const after =
    result.kind === "done"
      ? text.slice(0, offsetOf(text, result.target.start)) +
        result.text +
        text.slice(offsetOf(text, result.target.end))
      : text;
  return { result, progress, model, after };
}

/** The model's `answer` must turn `source` into `expected`, which is sound. */
async function check(
  source: string,
  answer: string,
  expected: string,
  changes?: Partial<RefactorParams>,
) {
  const ran = await run(source, { pieces: [answer] }, changes);
  assert.equal(ran.result.kind, "done", JSON.stringify(ran.result));
  assert.equal(ran.after, expected);
  assert.equal(ran.result.kind === "done" && ran.result.breaksSyntax, false);
}

/** It is refused with `code`, and says why. */
async function refuses(
  source: string,
  script: Script,
  code: string,
  says: RegExp,
  changes?: Partial<RefactorParams>,
) {
  const { result } = await run(source, script, changes);
  assert.ok(result.kind === "refused", JSON.stringify(result));
  assert.equal(result.code, code);
  assert.match(result.message, says);
}

const f = "```";
const source = "function f() {\n  |a();|\n}\n";

suite("refactoring", () => {
  test("puts the answer where the target stands", () =>
    check(source, `${f}ts\nb();\nc();\n${f}`, "function f() {\n  b();\n  c();\n}\n"));
  test("keeps Windows line breaks", () =>
    check(
      "if (x) {\r\n  |a();|\r\n}\r\n",
      `${f}\nb();\nc();\n${f}`,
      "if (x) {\r\n  b();\r\n  c();\r\n}\r\n",
    ));
  test("keeps tabs", () =>
    check(
      "if (x) {\n\t|a();|\n}\n",
      `${f}\nif (b) {\n    c();\n}\n${f}`,
      "if (x) {\n\tif (b) {\n\t\tc();\n\t}\n}\n",
    ));
  test("keeps the end of a file without a last line break", () =>
    check("a();\n|b();|", `${f}\nc();\n${f}\n`, "a();\nc();"));
  test("keeps text beyond ASCII where it is", () =>
    check(
      'const ä = "😀";\n|b("😀");| // é\n',
      `${f}\nc("é"); // é\n${f}`,
      'const ä = "😀";\nc("é"); // é\n',
    ));
  test("changes one line of a file of 20,000 lines", async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line(${i});`);
    const marked = lines.with(10_000, "|line(10000);|").join("\n");
    await check(marked, `${f}\nother();\n${f}`, lines.with(10_000, "other();").join("\n"));
  });

  test("takes of a file that is too large to be parsed the lines that are selected", async () => {
    const filler = `const filler = ${"1 + ".repeat(150_000)}1;\n`;
    for (const preset of [null, "rewrite"] as const) {
      const script = { pieces: [preset === null ? "```\nconst b = [\n```" : "const b = ["] };
      const { result } = await run(`|const a = [\n|  1,\n];\n${filler}`, script, { preset });
      assert.ok(result.kind === "done", JSON.stringify(result));
      assert.deepEqual(result.target.end, { line: 0, character: 11 });
      assert.equal(result.breaksSyntax, false);
    }
  });
  test("tells the target first, then the code as it grows", async () => {
    const pieces = [`Sure:\n${f}ts\n`, "b();\n", "c();\n", `${f}\nDone.`];
    const { progress } = await run(source, { pieces, stepMs: 60 });
    assert.deepEqual(progress[0], {
      id: "1",
      target: { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } },
      text: "",
    });
    assert.deepEqual(
      [...new Set(progress.map(({ text }) => text))],
      ["", "  b();", "  b();\n  c();"],
    );
  });
  test("takes the likeliest answer first, and others after it", async () => {
    const pieces = [`${f}\nb();\n${f}`];
    assert.equal((await run(source, { pieces })).model.asked[0]!.temperature, undefined);
    const { asked } = (await run(source, { pieces }, { attempt: 2 })).model;
    assert.ok(asked[0]!.temperature! > 0);
    assert.equal(asked[0]!.seed, 2);
  });
  test("flags an answer that breaks what was sound", async () => {
    const { result } = await run(source, { pieces: [`${f}\nif (b {\n${f}`] });
    assert.ok(result.kind === "done" && result.breaksSyntax);
  });
  test("does not flag what was broken before", async () => {
    const { result } = await run("f( {{ ;\n|a();|\n", { pieces: [`${f}\nb();\n${f}`] });
    assert.ok(result.kind === "done" && !result.breaksSyntax);
  });

  test("refuses what the model can't do, with no request to it", async () => {
    const pieces = ["x"];
    await refuses(
      source,
      { pieces, canChat: false },
      "CANT_CHAT",
      /scripted follows no instructions/,
    );
    const { model } = await run(source, { pieces, canChat: false });
    assert.deepEqual(model.asked, []);
  });
  test("refuses another version of the document", () =>
    refuses(source, { pieces: [] }, "DOCUMENT_CHANGED", /has changed/, { version: 2 }));
  test("refuses a place without code", () =>
    refuses("a();\n\n|\n\nb();", { pieces: [] }, "NO_TARGET", /Select what/));
  test("says what a model wrote instead of code", () =>
    refuses(source, { pieces: ["I can't do that."] }, "NO_CODE", /but: I can't do that\.$/));
  test("says that the code stays as it is", async () => {
    await refuses(source, { pieces: ["No changes needed."] }, "UNCHANGED", /as it is/);
    await refuses(source, { pieces: [`${f}\na();\n${f}`] }, "UNCHANGED", /as it is/);
  });
  test("refuses half an answer", () =>
    refuses(source, { pieces: [`${f}\nb();`], stop: "contextFull" }, "CUT_OFF", /longer than/));
  test("refuses without a model or a document", async () => {
    const { params, document } = request(source);
    const signal = new AbortController().signal;
    const hear = () => assert.fail("nothing is under way");
    const without = await new Refactors().run(
      params,
      document,
      { engine: null, ...others() },
      hear,
      signal,
    );
    assert.equal(without.kind === "refused" && without.code, "NO_MODEL");
    const engine = new ScriptedModel({ pieces: [] });
    const closed = await new Refactors().run(params, null, { engine, ...others() }, hear, signal);
    assert.equal(closed.kind === "refused" && closed.code, "DOCUMENT_CHANGED");
    const services = { engine, ...others(), excludedBecause: () => "holds secrets" };
    const secret = await new Refactors().run(params, document, services, hear, signal);
    assert.equal(secret.kind === "refused" && secret.code, "EXCLUDED");
    assert.deepEqual(engine.asked, []);
  });
  test("says why it failed, and never rejects", async () => {
    const error = new RingsideError("DEVICE_LOST", "The GPU is gone.");
    const lost = await run(source, { pieces: ["a"], error });
    assert.deepEqual(lost.result, {
      kind: "failed",
      code: "DEVICE_LOST",
      message: "The GPU is gone.",
    });
    const bug = await run(source, { pieces: [], error: new TypeError("x is not a function") });
    assert.equal(bug.result.kind === "failed" && bug.result.code, "INTERNAL");
    const long = await run(`|${"a();\n".repeat(2000)}|`, { pieces: [] });
    assert.equal(long.result.kind === "failed" && long.result.code, "BAD_REQUEST");
  });
});

suite("several refactorings", () => {
  const slow = { pieces: Array.from({ length: 50 }, () => "x"), stepMs: 10 };

  test("are cancelled at any token", async () => {
    for (const afterMs of [0, 25, 60]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), afterMs);
      const start = performance.now();
      const { result } = await run(source, slow, {}, controller.signal);
      assert.deepEqual(result, { kind: "cancelled" });
      assert.ok(performance.now() - start < 400);
    }
  });
  test("are one a document, the newer one; and others at the same time", async () => {
    const refactors = new Refactors();
    const start = (script: Script, other = uri) => {
      const { params, document } = request(source, { textDocument: { uri: other } });
      const services = { engine: new ScriptedModel(script), ...others() };
      const signal = new AbortController().signal;
      return refactors.run(params, { ...document, uri: other }, services, () => {}, signal);
    };
    assert.equal(refactors.busy, false);
    const first = start(slow);
    const elsewhere = start({ pieces: [`${f}\nc();\n${f}`], stepMs: 30 }, "file:///p/b.ts");
    const second = start({ pieces: [`${f}\nb();\n${f}`] });
    assert.equal(refactors.busy, true);
    assert.deepEqual(await first, { kind: "cancelled" });
    assert.equal((await second).kind, "done");
    assert.equal(refactors.busy, true);
    assert.equal((await elsewhere).kind, "done");
    assert.equal(refactors.busy, false);
  });
  test("keep no tree of a text that is not the document's, which may be closed by then", async () => {
    const seen: string[] = [];
    class Seen extends SyntaxTrees {
      override of(uri: string, languageId: string, text: string) {
        seen.push(text);
        return super.of(uri, languageId, text);
      }
    }
    for (const preset of [null, "rewrite"] as const) {
      const { params, document } = request(source, { preset });
      const engine = new ScriptedModel({ pieces: [preset === null ? `${f}\nb();\n${f}` : "b();"] });
      const services = { ...others(), engine, trees: new Seen() };
      const { signal } = new AbortController();
      const result = await new Refactors().run(params, document, services, () => {}, signal);
      assert.equal(result.kind, "done");
      assert.deepEqual(seen.splice(0), [document.text]);
    }
  });
  test("end when the server does", async () => {
    const refactors = new Refactors();
    const { params, document } = request(source);
    const services = { engine: new ScriptedModel(slow), ...others() };
    const running = refactors.run(
      params,
      document,
      services,
      () => {},
      new AbortController().signal,
    );
    refactors.close();
    assert.deepEqual(await running, { kind: "cancelled" });
  });
});

suite("rewriting a block", () => {
  const body = "function f(a: number) {\n  const b| = a;\n  return b;\n}\ng();\n";
  const again = { preset: "rewrite", instruction: "" } as const;

  test("works with a model that follows no instructions, from what is around", async () => {
    const pieces = ["return a", " + 1;\n", "}\n", "more();\n"];
    const { result, after, model } = await run(body, { pieces, canChat: false }, again);
    assert.equal(result.kind, "done");
    assert.equal(after, "function f(a: number) {\n  return a + 1;\n}\ng();\n");
    assert.match(
      model.asked[0]!.prompt,
      /<suffix>\n\}\ng\(\);\n<prefix>function f\(a: number\) \{\n {2}<middle>$/,
    );
  });
  test("tells what is written as it is", async () => {
    const { progress } = await run(body, { pieces: ["return", " a;"], stepMs: 60 }, again);
    assert.deepEqual(
      progress.map(({ text }) => text),
      ["", "return", "return a;"],
    );
    assert.deepEqual(progress[0]!.target.start, { line: 1, character: 2 });
  });
  test("keeps Windows line breaks", () =>
    check(
      body.replaceAll("\n", "\r\n"),
      "const c = a;\n  return c;\n",
      "function f(a: number) {\r\n  const c = a;\r\n  return c;\r\n}\r\ng();\r\n",
      again,
    ));
  test("tries something else with each attempt", async () => {
    const { asked } = (await run(body, { pieces: ["return 1;"] }, { ...again, attempt: 3 })).model;
    assert.ok(asked[0]!.temperature! > 0);
    assert.equal(asked[0]!.seed, 3);
  });
  test("says that nothing came", () =>
    refuses(body, { pieces: ["  \n"] }, "NO_CODE", /nothing/, again));
  test("is cancelled", async () => {
    const { result } = await run(body, { pieces: ["a", "b"] }, again, AbortSignal.abort());
    assert.deepEqual(result, { kind: "cancelled" });
  });

  const until = (text: string, expected: string | null) =>
    assert.equal(wholeBlock(text, { prefix: "f() {\n  " }), expected);
  test("goes on while a block does", () => until("a();\n\n  if (b) {\n    c();\n  }\n", null));
  test("ends before a line that stands outside", () => until("a();\n\n}\ng", "a();"));
  test("waits until a line is whole", () => until("a();\n}", null));
  test("ends where the same line comes again and again", () => {
    until("a();\n  a();\n  a();\n", null);
    until("b();\n  a();\n  a();\n  a();\n  a();\n", "b();\n  a();");
  });
});
