import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { positionOf } from "../../../server/lines";
import { dedent, indentLike, lineBreakOf, offsetOf } from "../../../server/refactor/text";

/** `code`, as a model answers it, must stand as `expected` in the place of `like`. */
function check(code: string, like: string, expected: string) {
  assert.equal(indentLike(code, like), expected);
}

suite("places and indentation", () => {
  test("moves code to where the target stands", () =>
    check("if (a) {\n  b();\n}", "    c();\n    d();", "    if (a) {\n      b();\n    }"));
  test("leaves code that stands there already", () =>
    check("  a();\n  b();", "  a();", "  a();\n  b();"));
  test("leaves blank lines blank", () => check("a();\n\nb();", "  c();", "  a();\n\n  b();"));
  test("makes tabs of spaces where the target has tabs", () =>
    check(
      "if (a) {\n    b();\n        c();\n}",
      "\tx();",
      "\tif (a) {\n\t\tb();\n\t\t\tc();\n\t}",
    ));
  test("makes spaces of tabs where the target has spaces", () =>
    check("if (a) {\n\tb();\n}", "  x();", "  if (a) {\n    b();\n  }"));
  test("keeps what an indentation has beyond its levels", () =>
    check("/**\n * a\n */\nf(\n  b);", "\tx();", "\t/**\n\t * a\n\t */\n\tf(\n\t\tb);"));
  test("leaves indentation alone where the target has none", () =>
    check("f(\n\ta)", "x", "f(\n\ta)"));
  test("moves code to the margin", () => {
    assert.equal(dedent("    a\n      b\n\n    c"), "a\n  b\n\nc");
    assert.equal(dedent("\ta\n  b"), "\ta\n  b");
  });
  test("knows the line break that most lines have", () => {
    assert.equal(lineBreakOf("a\r\nb\r\nc\n"), "\r\n");
    assert.equal(lineBreakOf("a\nb\nc\r\n"), "\n");
    assert.equal(lineBreakOf("a"), "\n");
  });

  const line = fc.string({ unit: fc.constantFrom("a", "é", "😀", " ", ";"), maxLength: 5 });
  const documents = fc
    .tuple(fc.array(line), fc.constantFrom("\n", "\r\n"))
    .map(([all, br]) => all.join(br));
  test("finds the place of each offset, and its offset again", () =>
    fc.assert(
      fc.property(documents, fc.nat(60), (text, at) => {
        const offset = Math.min(at, text.length);
        if (text[offset - 1] === "\r") return; // within a line break there is no place
        assert.equal(offsetOf(text, positionOf(text, offset)), offset);
      }),
    ));
  test("takes places beyond a line or the text for their end", () => {
    assert.equal(offsetOf("ab\r\ncd", { line: 0, character: 9 }), 2);
    assert.equal(offsetOf("ab\r\ncd", { line: 7, character: 0 }), 6);
  });
  const indented = fc
    .tuple(fc.nat(3), fc.constantFrom("x", "y z", "}"))
    .map(([n, text]) => "  ".repeat(n) + text);
  test("brings what was moved to the margin back where it stood", () =>
    fc.assert(
      fc.property(
        fc.array(indented, { minLength: 1 }),
        fc.constantFrom("  ", "\t"),
        (all, step) => {
          const text = all.map((one) => one.replaceAll("  ", step)).join("\n");
          assert.equal(indentLike(dedent(text), text), text);
        },
      ),
    ));
});
