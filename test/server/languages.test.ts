import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { languageIdOfPath, languageOf, languages } from "../../server/languages";
import { parse } from "../../server/syntax";

function check(path: string, expected: string) {
  assert.equal(languageIdOfPath(path), expected);
}

suite("languages", () => {
  test("knows a file by its extension", () => {
    check("/a/b.ts", "typescript");
    check("b.TSX", "typescriptreact");
    check("a.b/c.py", "python");
  });
  test("knows nothing of the rest", () => {
    check("a.ts/README", "plaintext");
    check("x.unknown", "plaintext");
    check("", "plaintext");
    assert.equal(languageOf("cobol"), undefined);
  });
  test("has each extension once, and a grammar that parses in each row", () => {
    const extensions = languages.flatMap((language) => [...language.extensions]);
    assert.equal(new Set(extensions).size, extensions.length);
    for (const { id } of languages) assert.ok(parse(id, "x")!.rootNode.endIndex > 0, id);
  });
});
