import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { syntaxErrors } from "../../../server/refactor/check";
import { parse } from "../../../server/syntax";

suite("syntax errors", () => {
  test("are counted wherever they are, and none without a grammar", () => {
    const errorsIn = (text: string) => syntaxErrors(parse("typescript", text));
    assert.equal(errorsIn("const a = [1, 2];\n"), 0);
    assert.ok(errorsIn("const a = [1, 2;\n") > 0);
    assert.equal(syntaxErrors(parse("ruby", "(")), 0);
  });
  test("are counted in a table of any length", () => {
    // As the parser gives it for 80,000 numbers, which it takes seconds to read.
    const sound = { type: "number", hasError: false, isMissing: false, children: [] };
    const error = { type: "ERROR", hasError: true, isMissing: false, children: [] };
    const children = [...Array(160_000).fill(sound), error];
    const rootNode = { type: "array", hasError: true, isMissing: false, children };
    assert.equal(syntaxErrors({ rootNode } as never), 1);
  });
});
