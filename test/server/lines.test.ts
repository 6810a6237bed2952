import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { TextDocument } from "vscode-languageserver-textdocument";
import { breaksIn, lineEnd, lineStart, own, positionOf, unixBreaks } from "../../server/lines";

/** Where the line of the bar starts and ends. */
function check(source: string, start: number, end: number) {
  const offset = source.indexOf("|");
  const text = source.slice(0, offset) + source.slice(offset + 1);
  assert.deepEqual([lineStart(text, offset), lineEnd(text, offset)], [start, end]);
}

suite("lines", () => {
  test("start and end at line breaks, and at the text's ends", () => {
    check("|", 0, 0);
    check("a|b\nc", 0, 2);
    check("ab\n|c", 3, 4);
    check("|\nab", 0, 0);
    check("ab|\r\nc", 0, 2);
    check("\n|\n", 1, 1);
  });
  test("are counted by their breaks", () => {
    assert.equal(breaksIn("a\nb\n"), 2);
    assert.equal(breaksIn("\n\n\n", 1, 2), 1);
    assert.equal(breaksIn(""), 0);
  });
  test("have the positions that editors know", () =>
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", "😀") }),
        fc.nat(),
        (text, n) => {
          const document = TextDocument.create("a", "b", 1, text);
          const offset = document.offsetAt(document.positionAt(n % (text.length + 1)));
          assert.deepEqual(positionOf(text, offset), document.positionAt(offset));
        },
      ),
    ));
  test("are copied as they are, cut characters too", () =>
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(), (text, cut) => {
        const part = text.slice(cut % (text.length + 1));
        assert.equal(own(part), part);
      }),
    ));
  test("end with \\n for models", () => assert.equal(unixBreaks("a\r\nb\rc\n"), "a\nb\nc\n"));
  test("end with \\n for models, whatever they ended with", () =>
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "\n", "\r", "\r\n") }), (text) =>
        assert.equal(unixBreaks(text), text.replace(/\r\n?/g, "\n")),
      ),
    ));
});
