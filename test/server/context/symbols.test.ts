import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { definitionsIn } from "../../../server/context/symbols";
import { languages } from "../../../server/languages";
import { parse } from "../../../server/syntax";

/** Each definition of `text` as `line kind container.name: signature`, its line breaks as ⏎. */
function check(languageId: string, text: string, expected: readonly string[]) {
  const found = [...definitionsIn(parse(languageId, text)!, languageId, text)];
  const shown = found.map(({ line, kind, container, name, signature }) => {
    const whole = container === null ? name : `${container}.${name}`;
    return `${line} ${kind} ${whole}: ${signature.replaceAll("\n", "⏎")}`;
  });
  assert.deepEqual(shown, expected);
}

suite("symbols", () => {
  test("of TypeScript", () => {
    check("typescript", "/** Doc. */\nexport function f<T>(a: T): number {\n  return 1;\n}", [
      "1 function f: // Doc.⏎export function f<T>(a: T): number",
    ]);
    check("typescript", "export const a = 3;\nconst g = async (x: number) => {};", [
      "0 constant a: export const a = 3",
      "1 function g: const g = async (x: number) =>",
    ]);
    check(
      "typescript",
      "class C<T> extends D {\n  size = 1;\n  private x = 2;\n  #y = 3;\n  get z(): number { return 1; }\n}",
      [
        "0 class C: class C<T> extends D",
        "1 field C.size: size = 1",
        "4 method C.z: get z(): number",
      ],
    );
    check("typescript", "interface I {\n  a: string;\n  m(x: number): void;\n}", [
      "0 interface I: interface I {⏎  a: string;⏎  m(x: number): void;⏎}",
      "2 method I.m: m(x: number): void",
    ]);
    check(
      "typescript",
      "type T = A | B;\nenum E { X }\nnamespace N {\n  export function h() {}\n}",
      ["0 type T: type T = A | B;", "1 enum E: enum E { X }", "3 function h: export function h()"],
    );
  });
  test("of JavaScript's older modules", () =>
    check(
      "javascript",
      "exports.read = function (a) {};\nFoo.prototype.run = () => 1;\nmodule.exports = { a };",
      ["0 function read: exports.read = function (a)", "1 function run: Foo.prototype.run = () =>"],
    ));
  test("of Python", () => {
    check("python", '@cached\ndef f(a: int) -> str:\n    """Doc."""\n    return 1', [
      "0 function f: # Doc.⏎@cached def f(a: int) -> str:",
    ]);
    check("python", "LIMIT = 3\nclass C(B):\n    y: int = 1\n    def m(self): pass", [
      "0 constant LIMIT: LIMIT = 3",
      "1 class C: class C(B):",
      "2 field C.y: y: int = 1",
      "3 method C.m: def m(self):",
    ]);
  });
  test("of Go", () =>
    check(
      "go",
      "package p\n// Doc\nfunc F(a int) string { return s }\nfunc (s *S) M() {}\ntype S struct { A int }\nconst (\n\tA = 1\n\tB\n)\nvar V int",
      [
        "2 function F: // Doc⏎func F(a int) string",
        "3 method S.M: func (s *S) M()",
        "4 type S: type S struct { A int }",
        "6 constant A: A = 1",
        "7 constant B: B",
        "9 constant V: var V int",
      ],
    ));
  test("of Rust", () =>
    check(
      "rust",
      "/// Doc\npub fn f(a: u8) -> u8 { a }\npub struct S { a: u8 }\nimpl T for S {\n  fn t(&self) {}\n}\ntrait T { fn t(&self); }\nenum E { A }\nconst X: u8 = 1;\nmod m { pub fn g() {} }",
      [
        "1 function f: // Doc⏎pub fn f(a: u8) -> u8",
        "2 type S: pub struct S { a: u8 }",
        "4 method S.t: fn t(&self)",
        "6 interface T: trait T { fn t(&self); }",
        "6 method T.t: fn t(&self);",
        "7 enum E: enum E { A }",
        "8 constant X: const X: u8 = 1;",
        "9 function g: pub fn g()",
      ],
    ));
  test("of C", () =>
    check(
      "c",
      "#define X 3\nstruct S { int a; };\ntypedef struct { int b; } T;\nint f(int a);\nstatic int *g(int b) { return 0; }\nstruct S;",
      [
        "0 constant X: #define X 3",
        "1 type S: struct S { int a; }",
        "2 type T: typedef struct { int b; } T;",
        "3 function f: int f(int a);",
        "4 function g: static int *g(int b)",
      ],
    ));
  test("of C++", () =>
    check(
      "cpp",
      "namespace n {\ntemplate <class T> class C : public B {\n public:\n  int m() const;\n  int size_;\n};\nint C::m() const { return 1; }\nconstexpr int kX = 3;\n}",
      [
        "1 class C: template <class T> class C : public B",
        "3 method C.m: int m() const;",
        "4 field C.size_: int size_;",
        "6 method C.m: int C::m() const",
        "7 constant kX: constexpr int kX = 3;",
      ],
    ));
  test("of Java", () =>
    check(
      "java",
      "/**\n * Doc.\n * More.\n */\npublic class C<T> extends B {\n  private int x;\n  public C(int a) {}\n  int m(int a) { return a; }\n}\ninterface I { void m(); }\nrecord R(int a) {}",
      [
        "4 class C: // Doc.⏎public class C<T> extends B",
        "6 method C.C: public C(int a)",
        "7 method C.m: int m(int a)",
        "9 interface I: interface I { void m(); }",
        "9 method I.m: void m();",
        "10 class R: record R(int a)",
      ],
    ));
  test("of a declaration over several lines on one", () =>
    check("typescript", "export function f(\n  a: number,\n  b: string,\n): void {}", [
      "0 function f: export function f( a: number, b: string, ): void",
    ]));
  test("of a long type its start, in whole lines", () => {
    const fields = Array.from({ length: 40 }, (_, i) => `  field${i}: number;\n`).join("");
    const text = `interface Long {\n${fields}}`;
    const [found] = definitionsIn(parse("typescript", text)!, "typescript", text);
    assert.ok(found!.signature.length <= 480 && text.startsWith(`${found!.signature}\n`));
  });
  test("of unfinished code what is whole", () =>
    check("typescript", "function f(): void {}\nconst a = (", [
      "0 function f: function f(): void",
    ]));
  test("of any text, none fails and each is named in it", () => {
    const word = fc.constantFrom(
      "class ",
      "fn ",
      "def ",
      "(",
      ")",
      "{",
      "}",
      ":",
      ";",
      "=",
      "a",
      "B",
      "\n",
      " ",
      "*",
      "struct ",
      "é",
      "/*",
      '"',
    );
    const texts = fc.array(word, { maxLength: 60 }).map((words) => words.join(""));
    fc.assert(
      fc.property(fc.constantFrom(...languages.map(({ id }) => id)), texts, (languageId, text) => {
        for (const { name, line } of definitionsIn(parse(languageId, text)!, languageId, text)) {
          assert.ok(text.includes(name) && line >= 0 && line < text.split("\n").length);
        }
      }),
      { numRuns: 200 },
    );
  });
});
