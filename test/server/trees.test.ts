import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import type Parser from "tree-sitter";
import { cursorSyntax, parse, syntaxAt } from "../../server/syntax";
import { MAX_PARSED, SyntaxTrees } from "../../server/trees";

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

/** So much that no parse of it ends in a microsecond, which is what `quick` waits. */
const long = (languageId: keyof typeof sources) => sources[languageId].repeat(20);
const quick = () => new SyntaxTrees(0.001);

function documentOf(languageId: string, text: string, uri = "a") {
  return { uri, languageId, version: 1, text };
}

/** Whether the tree of `text` comes to be there while nobody asks for it. */
async function comes(trees: SyntaxTrees, languageId: string, text: string): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    await delay(5);
    if (trees.soon("a", languageId, text).isExact) return true;
  }
  return false;
}

/** Every node of `tree` is within `text`. */
function checkBounds(tree: Parser.Tree, text: string) {
  const cursor = tree.walk();
  for (let more = true; more; ) {
    const { startIndex, endIndex } = cursor;
    assert.ok(0 <= startIndex && startIndex <= endIndex && endIndex <= text.length);
    more = cursor.gotoFirstChild() || cursor.gotoNextSibling();
    while (!more && cursor.gotoParent()) more = cursor.gotoNextSibling();
  }
}

suite("syntax trees in time", () => {
  const before = long("typescript");
  const at = before.length / 2; // where the source starts once more
  const insert = (text: string) => before.slice(0, at) + text + before.slice(at);

  test("parse the first text whole", () => {
    const { tree, isExact } = quick().soon("a", "typescript", before);
    assert.equal(isExact, true);
    assert.equal(tree!.rootNode.endIndex, before.length);
    assert.deepEqual(quick().soon("a", "cobol", "x"), { tree: null, isExact: true });
  });
  test("say what the tree before says of a text that takes long, and parse it meanwhile", async () => {
    const trees = quick();
    trees.soon("a", "typescript", before);
    const string = at + before.slice(at).indexOf("é"); // in f's string
    const text = insert("let a = (1;\n");
    const known = trees.soon("a", "typescript", text);
    assert.equal(known.isExact, false);
    const { inString, inArguments } = cursorSyntax("typescript", known.tree, text, string + 12);
    assert.deepEqual([inString, inArguments], [true, true]);
    assert.ok(await comes(trees, "typescript", text));
    check(trees, "typescript", text, at + 9);
    assert.equal(known.isExact, false); // it still says what it was asked
  });
  test("parse what was edited, if it was asked for once", async () => {
    const [asked, other] = [quick(), quick()];
    asked.soon("a", "typescript", before);
    const text = insert("let a = (1;\n");
    asked.changed(documentOf("typescript", text));
    other.changed(documentOf("typescript", text));
    await delay(200); // some milliseconds of parsing
    assert.equal(asked.soon("a", "typescript", text).isExact, true);
    const first = other.soon("a", "typescript", insert("let b;"));
    assert.equal(first.isExact, true); // nothing was begun that could have been left
  });
  test("keep nothing of a text that no completion has parsed", () => {
    const trees = quick();
    trees.soon("a", "typescript", before);
    const large = `${insert("f((")}${" ".repeat(MAX_PARSED)}`;
    trees.changed(documentOf("typescript", large));
    assert.equal(trees.soon("a", "typescript", large).isExact, true); // as a first text
  });
  test("wait once for one text", () => {
    const budgetMs = 20;
    const trees = new SyntaxTrees(budgetMs);
    const huge = before.repeat(40);
    trees.soon("a", "typescript", huge);
    const text = `f(${huge}`;
    assert.equal(trees.soon("a", "typescript", text).isExact, false);
    const start = process.cpuUsage();
    trees.soon("a", "typescript", text);
    assert.ok(process.cpuUsage(start).user < (1000 * budgetMs) / 2);
  });
  test("begin anew with a newer text, in the middle of an older one", () => {
    const trees = quick();
    trees.of("a", "typescript", before);
    trees.of("b", "typescript", before);
    for (const uri of ["a", "b"]) {
      assert.equal(trees.soon("a", "typescript", insert("f((")).isExact, false);
      const text = insert("f(g);\n");
      const tree = trees.of(uri, "typescript", text)!;
      assert.equal(tree.rootNode.toString(), parse("typescript", text)!.rootNode.toString());
    }
  });
  test("forget a document in the middle of its parse", async () => {
    const trees = quick();
    trees.of("a", "typescript", before);
    trees.soon("a", "typescript", insert("f(("));
    trees.forget("a");
    const { tree, isExact } = trees.soon("a", "typescript", before);
    assert.equal(isExact, true);
    assert.equal(tree!.rootNode.toString(), parse("typescript", before)!.rootNode.toString());
  });
  test("keep no process alive", () => {
    const alive = process.getActiveResourcesInfo();
    const trees = quick();
    trees.of("a", "typescript", before);
    assert.equal(trees.soon("a", "typescript", insert("f((")).isExact, false);
    assert.deepEqual(process.getActiveResourcesInfo(), alive);
  });
  test("know a comment behind more text than there was", () => {
    const trees = quick();
    const text = `${before}// a`;
    trees.of("a", "typescript", text);
    const longer = `${before.repeat(2)}// ab`;
    const { tree, isExact } = trees.soon("a", "typescript", longer);
    assert.equal(isExact, false);
    assert.equal(cursorSyntax("typescript", tree, longer, longer.length).inComment, true);
  });
  for (const languageId of ["typescript", "python"] as const) {
    test(`stay within the text, and are mended, after any edits (${languageId})`, async () => {
      const piece = fc.constantFrom("", "x", "(", ")", "{", '"', "\n", "`", "/*", "'é", "    ");
      const ask = fc.constantFrom("soon", "changed", "of", "rest");
      const edit = fc.tuple(fc.nat(9999), fc.constantFrom(0, 0, 1, 6, 400), piece, ask);
      const source = long(languageId);
      const edits = fc.array(edit, { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(edits, fc.nat(9999), async (all, place) => {
          const trees = quick();
          trees.soon("a", languageId, source);
          let text = source;
          for (const [at, removed, added, asked] of all) {
            const offset = at % (text.length + 1);
            text = text.slice(0, offset) + added + text.slice(offset + removed);
            if (asked === "changed") trees.changed(documentOf(languageId, text));
            if (asked === "rest") await delay(2);
            const tree =
              asked === "of"
                ? trees.of("a", languageId, text)!
                : trees.soon("a", languageId, text).tree!;
            checkBounds(tree, text);
            cursorSyntax(languageId, tree, text, Math.min(text.length, offset + added.length));
          }
          check(trees, languageId, source, place % (source.length + 1));
        }),
        { numRuns: RUNS },
      );
    });
  }
});
