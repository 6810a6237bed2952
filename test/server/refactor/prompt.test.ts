import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { sizesIn } from "../../../server/prompt";
import { chatPromptOf, type Instructed } from "../../../server/refactor/prompt";
import { vocabulary } from "../support"; // a token is a character

const source = "import a;\n\nfunction f() {\n    if (a) {\n      b();\n    }\n}\n\ng();\nh();\n";
const start = source.indexOf("    if");
const target = { start, end: source.indexOf("    }\n") + 5 };
const asked: Instructed = {
  uri: "file:///home/me/shop/src/a.ts",
  languageId: "typescript",
  text: source,
  target,
  instruction: "Use a loop.",
  preset: null,
  problems: [],
};
const sizes = sizesIn(vocabulary);
const large = { contextTokens: 100_000, surroundingTokens: 100_000 };

/** The user's message for `asked` with `changes` holds each of `expected`, in this order. */
function check(changes: Partial<Instructed>, expected: readonly string[], room = large) {
  const { content } = chatPromptOf({ ...asked, ...changes }, room, sizes).messages[1]!;
  const places = expected.map((part) => content.indexOf(part));
  assert.ok(!places.includes(-1), `${expected[places.indexOf(-1)]} is not in\n${content}`);
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
  return content;
}

suite("what a model is told of a refactoring", () => {
  test("shows the file, what is around, the code at the margin, and the instruction", () => {
    check({}, [
      "shop/src/a.ts",
      "```typescript\nimport a;\n\nfunction f() {\n```",
      "```typescript\n}\n\ng();\nh();\n```",
      "```typescript\nif (a) {\n  b();\n}\n```",
      "Use a loop.",
    ]);
  });
  test("never shows a path outside of the last three parts", () => {
    assert.doesNotMatch(check({}, []), /home|file:/);
  });
  test("puts the user's words behind a preset's", () =>
    void check({ preset: "simplify" }, ["simpler and easier", "Use a loop."]));
  test("says the problems of these lines, each with its line", () => {
    const problems = [
      { line: 4, message: "b is not defined" },
      { line: 8, message: "g is not defined" },
    ];
    const content = check({ preset: "fix", problems }, [
      "Fix these",
      "in `b();`: b is not defined",
    ]);
    assert.doesNotMatch(content, /g is not/);
  });
  test("asks for what is wrong where no problem is known", () => {
    const problems = [{ line: 8, message: "no g" }];
    assert.doesNotMatch(check({ preset: "fix", problems }, ["Fix what is wrong"]), /no g/);
  });
  test("fences code so that no fence in it ends the block", () =>
    void check(
      {
        text: source.replace("import a;", "// ````\n"),
        target: { start: start - 1, end: target.end - 1 },
      },
      ["`````typescript\n"],
    ));
  test("shows Windows line breaks as the model knows them", () => {
    const text = source.replaceAll("\n", "\r\n");
    const windows = { start: text.indexOf("    if"), end: text.indexOf("    }\r") + 5 };
    assert.equal(check({ text, target: windows }, []), check({}, []));
  });
  test("shows a file that begins with a blank line", () => {
    const moved = { start: start + 1, end: target.end + 1 };
    const content = check({ text: `\n${source}`, target: moved }, []);
    assert.equal(content, check({}, []));
  });
  test("says problems where line breaks are of both kinds", () => {
    const text = `${"\r\n".repeat(9)}a();\nb();\n`;
    const code = { start: text.indexOf("b"), end: text.indexOf("b") + 4 };
    const problems = [{ line: 10, message: "no b" }];
    check({ text, target: code, preset: "fix", problems }, ["in `b();`: no b"]);
  });

  test("shows around the code no more than there is room for", () => {
    const room = { ...large, surroundingTokens: 24 };
    const content = check({}, ["function f() {", "if (a)"], room);
    assert.doesNotMatch(content, /import a/);
    const none = check({}, ["if (a)"], { ...large, surroundingTokens: 0 });
    assert.doesNotMatch(none, /function f|g\(\)/);
  });
  test("keeps within the context, and leaves room for an answer", () => {
    for (let contextTokens = 750; contextTokens < 4000; contextTokens += 50) {
      const prompt = chatPromptOf(asked, { ...large, contextTokens }, sizes);
      const read = prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
      assert.ok(read + prompt.maxTokens <= contextTokens);
      assert.ok(prompt.maxTokens >= prompt.code.length);
    }
  });
  test("says what to do about code that is too long", () =>
    assert.throws(
      () => chatPromptOf(asked, { ...large, contextTokens: 600 }, sizes),
      /17 tokens, and has to fit twice into the model's context of 600\. Select less code/,
    ));
  test("looks at a file of 20,000 lines only near the code", () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `line(${i});\n`);
    const text = many.join("");
    const at = text.indexOf("line(10000)");
    let encoded = 0;
    const counting = {
      ...vocabulary,
      encode: (part: string) => {
        encoded += part.length;
        return vocabulary.encode(part, false);
      },
      count: (line: string) => {
        encoded += line.length;
        return line.length;
      },
    };
    const room = { contextTokens: 4096, surroundingTokens: 2048 };
    const middle = { start: at, end: at + 12 };
    const { messages } = chatPromptOf({ ...asked, text, target: middle }, room, sizesIn(counting));
    assert.match(messages[1]!.content, /line\(9999\)[\s\S]*line\(10001\)/);
    assert.ok(encoded < 20_000, `${encoded} characters were encoded`);
  });
});
