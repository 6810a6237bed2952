import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import {
  finish,
  indentOf,
  type LinePlace,
  mostLines,
  onlyCloses,
  silentBecause,
  wantsSingleLine,
  wholePart,
} from "../../server/finish";
import { isWholeStatement } from "../../server/syntax";
import { at } from "./support";

function check(source: string, text: string, expected: string) {
  assert.equal(finish(text, at(source)), expected);
}

/** What is kept of `text` at the bar, the syntax asked for what is whole. */
function checkWhole(languageId: string, source: string, text: string, expected: string | null) {
  const cursor = at(source, "a", languageId);
  const whole = (written: string) => isWholeStatement(languageId, cursor.prefix, written);
  assert.equal(wholePart(text, cursor, whole), expected);
}

suite("finish", () => {
  test("keeps what is fine", () => check("const a = |;", "b + c", "b + c"));
  test("keeps one line where something stands behind the cursor", () =>
    check("f(|, 1);", "a\nb", "a"));
  test("keeps one line behind the start of a statement", () =>
    check("const a = |", "b;\nconst c = d;", "b;"));
  test("keeps several lines where a block opens", () =>
    check("function f() {|", "\n  a();\n  b();\n}", "\n  a();\n  b();\n}"));
  test("keeps no more lines with text than are wanted", () => {
    const most = (maxLines: number, source: string, text: string, expected: string) =>
      assert.equal(finish(text, { ...at(source), maxLines }), expected);
    const block = "\n  a();\n\n  b();\n}";
    most(1, "function f() {|", block, "\n  a();");
    most(2, "function f() {|", block, "\n  a();\n\n  b();");
    most(3, "function f() {|", block, block);
    most(9, "function f() {|", block, block);
    most(9, "const a = |", "b;\nc;", "b;");
    most(1, "{\n  |\n}", "  \n \n", "");
  });
  test("drops white space at the end", () => check("const a = |", "b;  \n", "b;"));
  test("proposes nothing for white space", () => check("{\n  |\n}", "  \n \n", ""));
  test("stops before a line that the file says next", () =>
    check("{\n  |\n  b();\n}", "a();\n  b();\n  c();", "a();"));
  test("proposes nothing where the file says it next", () =>
    check("{\n  |\n  b();\n}", "b();", ""));
  test("drops a closer that closes nothing", () => check("a = b|", " + c)", " + c"));
  test("keeps a closer that the prefix waits for", () => check("f(a|", ", b);", ", b);"));
  test("drops a closer that the suffix has", () => check("f(a|);", ", b)", ", b"));
  test("drops the end that the rest of the line repeats", () => {
    check("f(a|);", ", b);", ", b");
    check("x = a| + b", " * 2 + b", " * 2");
    check("const a = b|;", " + c; ", " + c");
  });
  test("keeps a bracket in a string", () => check("a = |", '"(:" + b', '"(:" + b'));
  test("takes for a comment what is one in the language, and an operator for none", () => {
    const python = (source: string, text: string, expected: string) =>
      assert.equal(finish(text, { ...at(source), lineComment: "#" }), expected);
    python("def f():\n    |", "# 1) first\n    a()", "# 1) first\n    a()");
    python("f(a // len(|", "b))", "b))");
    python("a = f(\n    # 1) first\n    |", "b\n)", "b\n)");
    python("a = b // c|", ")", "");
    check("a = f(\n    // 1) first\n    |", "b\n)", "b\n)");
  });
  test("closes in a comment what the comment has opened", () => {
    const place = { inString: false, inComment: true, inBrackets: false, blocksByIndent: false };
    const comment = (source: string, text: string, expected: string) =>
      assert.equal(finish(text, { ...at(source), place }), expected);
    comment("f(\n  // as (b|", " does) now.", " does) now.");
    comment("f(\n  // as (b|)", " does)", " does");
    comment("f(\n  // as b|", " does) now.", " does");
    comment("// as|", " b // c (d) e", " b // c (d) e");
  });
  test("keeps lines that are said again once", () => {
    const block = "if isfile(path):\n    open(path)\n";
    check("def f(path):\n|", block + block, block.trimEnd());
    check("def f(path):\n|", `${block}${block.slice(0, -4)}`, block.trimEnd());
    check("def f(path):\n|", `x = 1\n${block}${block}`, `x = 1\n${block.trimEnd()}`);
    check("|", "pop(stack)\npop(stack)\n", "pop(stack)\npop(stack)");
    check("|", "pop(stack)\npop(stack)\npop(stack)", "pop(stack)");
    check("|", "0, 1,\n2, 3,\n0, 1,\n2, 3,\n", "0, 1,\n2, 3,\n0, 1,\n2, 3,");
    check("|", `${block}if isfile(path):\n    o`, `${block}if isfile(path):\n    o`);
  });
  test("keeps one turn of a loop", () =>
    check("{\n  |\n}", "ab, ab, ab, ab, ab, ab, ab, ab, ", "ab,"));

  const word = fc.constantFrom(
    "a",
    "b(",
    ")",
    ";",
    " ",
    "\n",
    "}",
    "{",
    "]",
    '"',
    "'",
    "\n  ",
    "//",
  );
  const text = fc.array(word, { maxLength: 14 }).map((words) => words.join(""));
  test("never adds to what the model wrote", () =>
    fc.assert(
      fc.property(text, text, text, (prefix, suffix, written) => {
        const cursor = { ...at("|"), prefix, suffix };
        assert.ok(written.startsWith(finish(written, cursor)));
      }),
      { numRuns: 2000 },
    ));
  test("has nothing to do after itself", () =>
    fc.assert(
      fc.property(text, text, text, (prefix, suffix, written) => {
        const cursor = { ...at("|"), prefix, suffix };
        const once = finish(written, cursor);
        assert.equal(finish(once, cursor), once);
      }),
      { numRuns: 4000 },
    ));
});

suite("what is enough", () => {
  const enough = (name: string, ...row: Parameters<typeof checkWhole>) =>
    test(name, () => checkWhole(...row));
  enough("goes on within the line", "typescript", "const a = |", "b + c", null);
  enough("ends with the line", "typescript", "const a = |", "b;\n", "b;");
  enough("goes on within a block", "typescript", "|", "if (a) {\n  b();\n", null);
  enough("ends behind a block", "typescript", "|", "if (a) {\n  b();\n}\nc", "if (a) {\n  b();\n}");
  enough("goes on with else", "typescript", "{\n  |", "if (a) {\n    b();\n  }\n  else", null);
  enough("ends at an empty line", "python", "|", "a = 1\n\n", "a = 1\n");
  enough("goes on in an indented body", "python", "def f():\n    |", "if a:\n        b()\n", null);
  enough("ends where the indentation does", "python", "def f():\n    |", "a()\nb", "a()");
  enough("goes on with except", "python", "def f():\n    |", "try:\n        a()\n    except", null);
  enough("ends a statement before its sibling", "python", "def f():\n    |", "a()\n    b", "a()");
  enough(
    "ends before what the file says next",
    "typescript",
    "|\nb();\n",
    "a();\nb();\n",
    "a();\nb();",
  );
  test("ends with the last line that is wanted", () => {
    const ends = (maxLines: number, text: string, expected: string | null) =>
      assert.equal(
        wholePart(text, { ...at("f() {|"), maxLines }, () => false),
        expected,
      );
    ends(1, "\n  a();", null);
    ends(1, "\n  a();\n", "\n  a();");
    ends(2, "\n  a();\n", null);
    ends(2, "\n  a();\n  b();\n", "\n  a();\n  b();");
  });
  enough("waits for some text", "typescript", "|", "\n\n", null);
  enough("ends a loop", "typescript", "|", "ab, ".repeat(7), "ab, ".repeat(7));
  enough(
    ...["ends where lines are said again", "python", "def f():\n    |"],
    ...["ab(c)\n    de(f)\n    ab(c)\n    de(f)\n  ", "ab(c)\n    de(f)\n    ab(c)\n    de(f)"],
  );
});

suite("places", () => {
  test("say how many lines are wanted at most", () => {
    const most = (source: string, maxLines?: number) =>
      mostLines({ ...at(source), ...(maxLines !== undefined && { maxLines }) });
    assert.deepEqual([most("a = |"), most("a = |", 3)], [1, 1]);
    assert.deepEqual([most("{|"), most("{|", 1), most("{|", 3)], [Infinity, 1, 3]);
  });
  test("asks for one line by what stands around the cursor", () => {
    const single = (source: string) => wantsSingleLine(at(source));
    assert.deepEqual(["a|b", "a = |", "{|", "  |", "x => |", "|;"].map(single), [
      true,
      true,
      false,
      false,
      false,
      true,
    ]);
  });
  test("asks for one line where the syntax has no block", () => {
    const place = { inString: false, inComment: false, inBrackets: false, blocksByIndent: true };
    const single = (source: string, more: Partial<LinePlace>) =>
      wantsSingleLine({ ...at(source), place: { ...place, ...more } });
    assert.equal(single("if a: |", {}), false);
    assert.equal(single("f(a: |", { inBrackets: true }), true);
    assert.equal(single("const a: |", { blocksByIndent: false }), true);
    assert.equal(single("  |", {}), false);
    assert.equal(single("  |", { inComment: true }), true);
    assert.equal(single("{ |", { inString: true }), true);
  });
  test("knows what only closes", () => {
    const rows = [")", "});", "\n}", '");', "]) {", ", b", "=> {", ""];
    assert.deepEqual(rows.map(onlyCloses), [true, true, true, true, false, false, false, true]);
  });
  test("is silent inside a word", () => {
    assert.equal(silentBecause({ suffix: "ord" }), "inside a word");
    assert.equal(silentBecause({ suffix: "über" }), "inside a word");
    assert.equal(silentBecause({ suffix: ");" }), null);
    assert.equal(silentBecause({ suffix: "" }), null);
  });
  test("counts a tab as four columns", () => assert.equal(indentOf("\t  a"), 6));
});
