import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isWholeStatement, syntaxAt, syntaxFeatureNames } from "../../server/syntax";
import { at } from "./support";

/** Whether each of `expected` is among the features at the bar. */
function check(languageId: string, source: string, ...expected: string[]) {
  const { prefix, suffix } = at(source);
  const { features } = syntaxAt(languageId, prefix + suffix, prefix.length);
  const names = features.map((index) => syntaxFeatureNames[index]!);
  for (const name of expected) {
    const absent = name.startsWith("!");
    assert.equal(names.includes(name.replace("!", "")), !absent, `${name} in ${names.join(" ")}`);
  }
}

suite("syntax at the cursor", () => {
  const place = (...row: Parameters<typeof check>) =>
    test(`${row[0]}: ${row[1].replace(/\n/g, "⏎")}`, () => check(...row));
  place("typescript", 'const a = "b|c";', "in:string", "language:typescript");
  place("typescript", "// a|", "in:comment", "!in:string");
  place("typescript", 'import { a| } from "b";', "in:import");
  place("typescript", "f(a, |);", "in:arguments", "!in:string");
  place("typescript", "let a: str|ing;", "in:type");
  place("typescript", "a.|", "after:dot");
  place("typescript", "function f() {\n  |\n}", "within:function", "line:start", "line:end");
  place("typescriptreact", "const a = <b>|</b>;", "within:markup", "language:typescript");
  place("javascript", "a?.|", "after:dot", "language:javascript");
  place("python", "def f():\n    |", "within:function", "language:python");
  place("python", "def f():\n    a()\n|", "!within:function");
  place("python", "from a import |", "in:import");
  place("python", "a = 1  # b|", "in:comment");
  place("go", 'package a\n\nfunc f() { g("|") }', "in:string", "language:go");
  place("rust", "use a::|;", "in:import", "language:rust");
  place("c", "#include <|>", "in:import", "language:c");
  place("cpp", "void f() { a->|; }", "after:dot", "language:cpp");
  place("java", "class A { void f() { g(|); } }", "in:arguments", "language:java");
  test("knows nothing where there is no grammar", () => {
    const { features, enclosing } = syntaxAt("cobol", "a", 1);
    assert.deepEqual(enclosing, []);
    assert.deepEqual(
      features.map((i) => syntaxFeatureNames[i]),
      ["line:end"],
    );
  });
  test("names each feature once", () =>
    assert.equal(new Set(syntaxFeatureNames).size, syntaxFeatureNames.length));
});

suite("whole statements", () => {
  const table: readonly (readonly [string, string, string, boolean])[] = [
    ["typescript", "const a = ", "b;", true],
    ["typescript", "const a = ", "f(", false],
    ["typescript", "", "if (a) {\n  b();\n}", true],
    ["typescript", "", "if (a) {\n  b();", false],
    ["python", "a = ", "[1, 2]", true],
    ["python", "a = ", "[1, 2", false],
    ["go", "package a\n\nfunc f() {\n\t", "if a {\n\t\tb()\n\t}", true],
    ["go", "package a\n\nfunc f() {\n\t", "if a {\n\t\tb()", false],
    ["rust", "fn f() {\n    ", "let a = 1;", true],
    ["rust", "", "fn f() {\n    a();", false],
    ["c", "int f(void) {\n  ", "return 1;", true],
    ["c", "", "int f(void) {\n  g();", false],
    ["java", "class A {\n  ", "int a = 1;", true],
    ["java", "", "class A {\n  int a;", false],
    ["cobol", "", "ADD (", true],
    ["typescript", "", "  ", false],
  ];
  for (const [language, prefix, text, expected] of table) {
    test(`${language}: ${JSON.stringify(prefix + text)} is ${expected ? "" : "not "}whole`, () =>
      assert.equal(isWholeStatement(language, prefix, text), expected));
  }
});
