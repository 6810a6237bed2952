import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { cursorSyntax, parse, syntaxAt } from "../../server/syntax";
import { SyntaxTrees } from "../../server/trees";

const RUNS = 60;
const sources = {
  typescript: 'import { a } from "b";\nfunction f(c: string) {\n  // d\n  return a("é", c.e);\n}\n',
  python: 'from a import b\n\ndef f(c):\n    # d\n    return b("é", c.e)\n',
};

/** The kept tree must say at `offset` what a fresh one says. */
function check(trees: SyntaxTrees, languageId: string, text: string, offset: number) {
  const kept = cursorSyntax(languageId, trees.of("a", languageId, text), text, offset);
  assert.deepEqual(kept, syntaxAt(languageId, text, offset));
}

suite("syntax trees", () => {
  test("keeps the tree of a text that has not changed", () => {
    const trees = new SyntaxTrees();
    const tree = trees.of("a", "python", sources.python);
    assert.equal(trees.of("a", "python", sources.python), tree);
    trees.forget("a");
    assert.notEqual(trees.of("a", "python", sources.python), tree);
  });
  test("has none without a grammar, and parses anew in another language", () => {
    const trees = new SyntaxTrees();
    assert.equal(trees.of("a", "cobol", "x"), null);
    check(trees, "python", sources.python, 40);
    check(trees, "typescript", sources.typescript, 40);
  });
  for (const [languageId, source] of Object.entries(sources)) {
    // Where a text is broken, tree-sitter may mend it otherwise than a fresh parse would: it reuses
    // what it has. That must not outlive the mistake.
    test(`says what a fresh parse says of sound text, after any edits (${languageId})`, () => {
      const piece = fc.constantFrom("", "x", "(", ")", "{", "}", "\n", '"', "a.b", "é", "    ");
      const edit = fc.tuple(fc.nat(100), fc.nat(6), piece);
      fc.assert(
        fc.property(fc.array(edit, { maxLength: 6 }), fc.nat(100), (edits, place) => {
          const trees = new SyntaxTrees();
          let text = source;
          for (const [at, removed, added] of edits) {
            const offset = at % (text.length + 1);
            text = text.slice(0, offset) + added + text.slice(offset + removed);
            const sound = parse(languageId, text)?.rootNode.hasError === false;
            if (sound) check(trees, languageId, text, offset + added.length);
            else trees.of("a", languageId, text);
          }
          check(trees, languageId, source, place % (source.length + 1));
        }),
        { numRuns: RUNS },
      );
    });
  }
});
