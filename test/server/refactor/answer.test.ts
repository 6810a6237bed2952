import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { type Answer, readAnswer } from "../../../server/refactor/answer";

const original = "function add(a, b) {\n  return a + b;\n}";
const better = "const add = (a, b) => a + b;";
const f = "```";

/** A complete answer to a request to change `original` must be read as `expected`: code, or another answer. */
function check(answer: string, expected: string | Answer, languageId = "typescript") {
  const wanted = typeof expected === "string" ? { kind: "code", text: expected } : expected;
  assert.deepEqual(readAnswer(answer, { original, languageId, complete: true }), wanted);
}

/** The same of an answer that is still being written. */
function sofar(answer: string, expected: string) {
  const read = readAnswer(answer, { original, languageId: "typescript", complete: false });
  assert.equal(read.kind === "code" ? read.text : "", expected);
}

suite("reading a chat model's answer", () => {
  suite("fences", () => {
    test("takes what is in a block", () => check(`${f}ts\n${better}\n${f}`, better));
    test("takes it without a language", () => check(`${f}\n${better}\n${f}\n`, better));
    test("takes it from tildes", () => check(`~~~js\n${better}\n~~~`, better));
    test("takes it from a longer fence", () => check(`${f}\`ts\n${better}\n${f}\``, better));
    test("takes it with a title behind the language", () =>
      check(`${f}ts title="a.ts"\n${better}\n${f}`, better));
    test("takes it with Windows line breaks", () =>
      check(`${f}ts\r\na();\r\nb();\r\n${f}\r\n`, "a();\nb();"));
    test("takes it from a block in a list", () =>
      check(`- ${f}ts\n  ${better}\n  ${f}`, `  ${better}`));
    test("takes it from a block in one line", () => check(`${f}${better}${f}`, better));
    test("takes it where the fence's end is missing", () => check(`${f}ts\n${better}\n`, better));
    test("takes it where the fence ends the last line", () =>
      check(`${f}ts\n${better}${f}`, better));
    test("leaves blank lines around it out", () => check(`${f}ts\n\n\n${better}\n\n${f}`, better));
    test("keeps the first line's indentation", () => check(`${f}\n\n  a\n${f}`, "  a"));
    test("knows an empty block as no code", () =>
      check(`${f}ts\n${f}`, { kind: "prose", text: "" }));
  });

  suite("prose around it", () => {
    test("drops what is said before and behind", () =>
      check(
        `Sure! Here is it:\n\n${f}ts\n${better}\n${f}\n\nThis uses an arrow function.`,
        better,
      ));
    test("drops sentences where there is no fence", () =>
      check(`Here is the code:\n\n${better}\n\nI made it an arrow function.`, better));
    test("takes bare code as it is", () => check(original, original));
    test("takes bare code that starts with a capital letter", () =>
      check("Foo.bar();", "Foo.bar();"));
    test("takes bare SQL", () =>
      check(
        "SELECT name FROM users\nWHERE id IN one",
        "SELECT name FROM users\nWHERE id IN one",
        "sql",
      ));
    test("takes a bare Python block", () =>
      check(
        "for item in items:\n    print(item)",
        "for item in items:\n    print(item)",
        "python",
      ));
    test("keeps comments that are sentences", () =>
      check("// Adds two numbers.\nadd(1, 2);", "// Adds two numbers.\nadd(1, 2);"));
    test("takes sentences for what they are in Markdown", () =>
      check("A sentence. And another one.", "A sentence. And another one.", "markdown"));
    test("says what was said instead of code", () =>
      check("I can't help with that request.", {
        kind: "prose",
        text: "I can't help with that request.",
      }));
    test("says so too without a full stop", () =>
      check("I am not able to do that", { kind: "prose", text: "I am not able to do that" }));
    test("knows that nothing is to be changed", () => {
      check("No changes are needed.", { kind: "unchanged" });
      check("The code is already simple. There is nothing to simplify.", { kind: "unchanged" });
    });
  });

  suite("several blocks", () => {
    test("takes the one that is most alike, not the original again", () =>
      check(
        `Before:\n${f}ts\n${original}\n${f}\nAfter:\n${f}ts\nfunction add(a, b) {\n  return b + a;\n}\n${f}`,
        "function add(a, b) {\n  return b + a;\n}",
      ));
    test("takes code before commands", () =>
      check(`${f}sh\nnpm install some-package --save\n${f}\n${f}ts\n${better}\n${f}`, better));
    test("takes the original where there is nothing else", () =>
      check(`${f}ts\n${original}\n${f}`, original));
    test("takes commands where there is nothing else", () => check(`${f}sh\nls\n${f}`, "ls"));
    test("takes the second of two where the first one never ends", () =>
      check(`${f}ts\nx();\n${f}ts\n${original};\n${f}`, `${original};`));
  });

  suite("fences in the code", () => {
    const python = `def f():\n    """\n    ${f}\n    example\n    ${f}\n    """`;
    test("keeps those that are indented", () =>
      check(`${f}python\n${python}\n${f}`, python, "python"));
    test("keeps those in comments", () => {
      const code = `/**\n * ${f}ts\n * f();\n * ${f}\n */\nfunction f() {}`;
      check(`${f}ts\n${code}\n${f}\nDone.`, code);
    });
    test("keeps blocks in Markdown", () => {
      const text = `# Use\n\n${f}\nplain\n${f}\n\n${f}js\nf();\n${f}\n\nEnd.`;
      check(`${f}markdown\n${text}\n${f}`, text, "markdown");
    });
    test("keeps blocks with a language in a block", () => {
      const text = `const doc = \`\n${f}js\nf();\n${f}\n\`;`;
      check(`${f}ts\n${text}\n${f}`, text);
    });
    test("keeps shorter fences in a longer one", () =>
      check(`${f}\`\n${f}\nx\n${f}\n${f}\``, `${f}\nx\n${f}`));
  });

  suite("thoughts", () => {
    const thought = `Use ${f}ts\nwrong();\n${f} perhaps.`;
    test("are left out", () => check(`<think>${thought}</think>\n${f}ts\n${better}\n${f}`, better));
    test("are left out where the prompt opened them", () =>
      check(`${thought}\n</think>\n\n${f}ts\n${better}\n${f}`, better));
    test("are left out twice", () =>
      check(`<think>a</think>\n<thinking>b</thinking>${better}`, better));
    test("are all there is", () => check(`<think>${thought}`, { kind: "prose", text: "" }));
    test("stay where they are code", () => {
      const code = 'const close = "</think>";';
      check(`${f}ts\n${code}\n${f}`, code);
    });
  });

  suite("while it is written", () => {
    test("has nothing before the code starts", () => {
      for (const start of [
        "",
        "`",
        "``",
        f,
        `${f}t`,
        "Here",
        "Here is",
        "Here is it:",
        "<th",
        "<think>x",
      ]) {
        sofar(start, "");
      }
    });
    test("has the lines so far", () => sofar(`Yes:\n${f}ts\na();\nb(`, "a();\nb("));
    test("holds back what may end the block", () => sofar(`${f}ts\na();\n\`\``, "a();"));
    test("has bare code from its first line on", () => sofar("const a", "const a"));
  });

  // Lines as code has them, none of which looks like a fence.
  const line = fc.string({ unit: fc.constantFrom(..."ab {}();=\t."), maxLength: 12 });
  const code = fc
    .array(line, { minLength: 1, maxLength: 8 })
    .map((lines) => lines.join("\n"))
    .filter((text) => text.trim() !== "" && text === text.replace(/^(?:[ \t]*\n)+/, "").trimEnd());
  const aside = fc.constantFrom(
    "",
    "Sure:\n\n",
    "<think>Let me see ```x```</think>\n",
    "First.\nSecond.\n",
  );
  const asked = { original, languageId: "typescript" };

  test("gives any code back from any fence, whatever is around it", () =>
    fc.assert(
      fc.property(
        code,
        aside,
        fc.constantFrom("```", "````", "~~~"),
        aside,
        (text, before, fence, after) => {
          const answer = `${before}${fence}ts\n${text}\n${fence}\n${after}`;
          assert.deepEqual(readAnswer(answer, { ...asked, complete: true }), {
            kind: "code",
            text,
          });
        },
      ),
    ));
  test("only adds to the code while one block is written", () =>
    fc.assert(
      fc.property(code, aside, (text, before) => {
        const answer = `${before}${f}ts\n${text}\n${f}`;
        let shown = "";
        for (let end = 0; end <= answer.length; end++) {
          const read = readAnswer(answer.slice(0, end), { ...asked, complete: false });
          if (read.kind !== "code") continue;
          assert.ok(text.startsWith(read.text), `${JSON.stringify(read.text)} at ${end}`);
          assert.ok(read.text.length >= shown.trimEnd().length);
          shown = read.text;
        }
      }),
    ));
  test("reads any text without a failure, and twice the same", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            "`",
            f,
            "~~~",
            "\n",
            "ts",
            "A b.",
            "<think>",
            "</think>",
            " ",
            "x();",
            "\r\n",
          ),
        ),
        fc.boolean(),
        (parts, complete) => {
          const read = () => readAnswer(parts.join(""), { ...asked, complete });
          assert.deepEqual(read(), read());
        },
      ),
    ));
});
