import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { blockOf } from "../../../server/refactor/rewrite";
import { targetOf } from "../../../server/refactor/target";
import { parse } from "../../../server/syntax";

/**
 * What is changed where `|` is the cursor, or two of them enclose the selection: what stands between
 * « and » in `expected`, or nothing if it is null.
 */
function check(
  source: string,
  expected: string | null,
  languageId = "typescript",
  find = targetOf,
) {
  const [before = "", ...rest] = source.split("|");
  const text = before + rest.join("");
  const start = before.length;
  const selected = { start, end: start + (rest.length === 2 ? rest[0]!.length : 0) };
  const span = find(text, parse(languageId, text), selected);
  const marked =
    span &&
    `${text.slice(0, span.start)}«${text.slice(span.start, span.end)}»${text.slice(span.end)}`;
  assert.equal(marked, expected);
}

suite("what a refactoring changes", () => {
  suite("a selection", () => {
    test("means whole lines", () => check("a();\n  b|(|);\nc();\n", "a();\n«  b();»\nc();\n"));
    test("does not mean a line that it only touches", () =>
      check("|a();\n|b();\n", "«a();»\nb();\n"));
    test("means no blank lines around it", () => check("|\n\na();\n\n|b();", "\n\n«a();»\n\nb();"));
    test("means nothing where all is blank", () => check("a();\n|  \n\n|b();", null));
    test("keeps a Windows line break out", () => check("|a();|\r\nb();\r\n", "«a();»\r\nb();\r\n"));
    test("ends with a file that has no last line break", () =>
      check("a();\n|b();|", "a();\n«b();»"));
    test("counts non-ASCII text as the editor does", () =>
      check('const ä = "😀";\n|b();|\nc();', 'const ä = "😀";\n«b();»\nc();'));
    test("is widened to the statement that it cuts", () =>
      check(
        "a();\n|if (b) {\n  c();|\n  d();\n}\ne();\n",
        "a();\n«if (b) {\n  c();\n  d();\n}»\ne();\n",
      ));
    test("is widened from the middle of one statement to the middle of another", () =>
      check(
        "if (a) {\n  b|();\n}\nif (c) {\n  |d();\n}\ne();",
        "«if (a) {\n  b();\n}\nif (c) {\n  d();\n}»\ne();",
      ));
    test("is not widened where it cuts nothing", () =>
      check(
        "function f() {\n  |a();\n  b();|\n  c();\n}\n",
        "function f() {\n«  a();\n  b();»\n  c();\n}\n",
      ));
    test("takes the body with the head of a Python function", () =>
      check(
        "|def f(a):|\n    return a\n\nx = 1\n",
        "«def f(a):\n    return a»\n\nx = 1\n",
        "python",
      ));
    test("takes some members of an object", () =>
      check("f({\n  a: 1,\n  |b: 2,|\n  c: 3,\n});", "f({\n  a: 1,\n«  b: 2,»\n  c: 3,\n});"));
    test("is left as it is where the code does not parse", () =>
      check("f( {{ ;\n|g( ;|\n}} h(", "f( {{ ;\n«g( ;»\n}} h("));
    test("is left as it is in a language without a grammar", () =>
      check("a\n|b {|\n}\n", "a\n«b {»\n}\n", "cobol"));
  });

  suite("a cursor", () => {
    test("means the function around it", () =>
      check(
        "a();\nfunction f() {\n  b|();\n}\nc();\n",
        "a();\n«function f() {\n  b();\n}»\nc();\n",
      ));
    test("means the innermost function", () =>
      check(
        "class A {\n  f() {\n    b|();\n  }\n  g() {}\n}",
        "class A {\n«  f() {\n    b();\n  }»\n  g() {}\n}",
      ));
    test("means the class outside of its methods", () =>
      check("class |A {\n  f() {}\n}\na();", "«class A {\n  f() {}\n}»\na();"));
    test("means the statement outside of functions", () =>
      check("a();\nb(|\n  1,\n);\n", "a();\n«b(\n  1,\n);»\n"));
    test("means a function with what exports and documents it", () =>
      check(
        "a();\n\n/** Adds. */\nexport function f() {\n  |b();\n}\n",
        "a();\n\n«/** Adds. */\nexport function f() {\n  b();\n}»\n",
      ));
    test("does not mean the comment of the line before", () =>
      check("a(); // b\nfunction f() {|}\n", "a(); // b\n«function f() {}»\n"));
    test("means a function with its decorators", () =>
      check("@a\n@b\ndef f():\n    p|ass\n", "«@a\n@b\ndef f():\n    pass»\n", "python"));
    test("means a function with its attributes in Rust", () =>
      check("#[test]\nfn f() {\n    a(|);\n}\n", "«#[test]\nfn f() {\n    a();\n}»\n", "rust"));
    test("means the statement around a function that stands within one", () =>
      check("const f = (a) => {\n  b|();\n};\nc();", "«const f = (a) => {\n  b();\n};»\nc();"));
    test("means the code of its line, before and behind it", () => {
      check("function f() {\n|  a();\n}\n", "«function f() {\n  a();\n}»\n");
      check("function f() {\n  a();\n}|\nb();\n", "«function f() {\n  a();\n}»\nb();\n");
    });
    test("means nothing between statements", () => check("a();\n|\nb();\n", null));
    test("means nothing in an empty file", () => check("|", null));
    test("means the paragraph in a language without a grammar", () =>
      check("a\n\nb\nc|\n\nd\n", "a\n\n«b\nc»\n\nd\n", "cobol"));
    test("means a Go function, a C++ template, a Java method", () => {
      check("package a\n\nfunc f() {\n\tb(|)\n}\n", "package a\n\n«func f() {\n\tb()\n}»\n", "go");
      check(
        "template <class T>\nT f(T a) {\n  return |a;\n}\n",
        "«template <class T>\nT f(T a) {\n  return a;\n}»\n",
        "cpp",
      );
      check(
        "class A {\n  @B\n  void f() {\n    c(|);\n  }\n}\n",
        "class A {\n«  @B\n  void f() {\n    c();\n  }»\n}\n",
        "java",
      );
    });
  });

  suite("a block to rewrite", () => {
    const block = (source: string, expected: string | null, languageId?: string) =>
      check(source, expected, languageId, blockOf);
    test("is the body of the function around the cursor", () =>
      block("function f() {\n  a|();\n  b();\n}\n", "function f() {\n  «a();\n  b();»\n}\n"));
    test("is the body in Python", () =>
      block(
        "def f(a):\n    b()\n    re|turn a\n\nc()\n",
        "def f(a):\n    «b()\n    return a»\n\nc()\n",
        "python",
      ));
    test("is the body in one line", () =>
      block("const f = (a) => { return| a; };", "const f = (a) => { «return a;» };"));
    test("is what is selected", () =>
      block("function f() {\n  |a();|\n  b();\n}\n", "function f() {\n  «a();»\n  b();\n}\n"));
    test("is the function where its body is empty", () =>
      block("function f() {|}\n", "«function f() {}»\n"));
    test("is the statement outside of functions", () => block("a();\nb(|);\n", "a();\n«b();»\n"));
  });
});
