import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Context } from "../../../server/context/context";
import { type OpenDocument, shortPath } from "../../../server/document";

const document = (uri: string, text: string, languageId = "typescript"): OpenDocument => ({
  uri,
  languageId,
  version: 1,
  text,
});
const parser = "parseNumber tokenStream expectDigit readSign\n";
const other = "colour shade palette gradient canvas\n";
const here = document("file:///p/src/here.ts", parser);

/** The paths of the snippets for a cursor in `here`. */
function check(others: readonly OpenDocument[], expected: readonly string[]) {
  const snippets = new Context().gather(here, 5, others);
  assert.deepEqual(
    snippets.map(({ path }) => path),
    expected,
  );
}

suite("context", () => {
  test("takes the tab that is alike", () =>
    check(
      [document("file:///q/r/p/a.ts", parser), document("file:///q/r/p/b.ts", other)],
      ["r/p/a.ts"],
    ));
  test("puts the most alike tab last, nearest to the cursor", () => {
    const some = document("file:///q/r/p/some.ts", `${parser}${other}`);
    const most = document("file:///q/r/p/most.ts", parser);
    check([most, some], ["r/p/some.ts", "r/p/most.ts"]);
    check([some, most], ["r/p/some.ts", "r/p/most.ts"]);
  });
  test("takes dialects of one family, no other language", () =>
    check(
      [document("a.tsx", parser, "typescriptreact"), document("a.py", parser, "python")],
      ["a.tsx"],
    ));
  test("leaves out the file itself", () => check([here], []));
  test("takes the window of a long file that is alike", () => {
    const long = document("a.ts", other.repeat(48) + parser.repeat(24) + other.repeat(48));
    assert.equal(new Context().gather(here, 5, [long])[0]!.text, parser.repeat(24));
  });
  test("keeps its choice while the file is typed in, not when a tab changes", () => {
    const context = new Context();
    const tab = document("a.ts", parser);
    const first = context.gather(here, 5, [tab]);
    assert.equal(context.gather({ ...here, version: 2, text: other }, 5, [tab]), first);
    assert.notEqual(context.gather(here, 5, [{ ...tab, version: 2 }]), first);
  });
  test("shortens a path to its last three parts", () => {
    assert.equal(shortPath("file:///a/b/c/d%20e.ts"), "b/c/d e.ts");
    assert.equal(shortPath("C:\\a\\b\\100%.ts"), "a/b/100%.ts");
    assert.equal(shortPath("a.ts"), "a.ts");
  });
  test("shortens any text", () => assert.equal(shortPath("a/%FF.ts"), "a/%FF.ts"));
});
