import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Definitions, type DefinitionSource } from "../../../server/context/definitions";
import type { OpenDocument } from "../../../server/document";

const open: OpenDocument = {
  uri: "file:///p/a.ts",
  languageId: "typescript",
  version: 1,
  text: "a\n",
};
const found = { uri: "file:///lib/d.ts", line: 3, text: "declare function d(): void;\r\n" };

/** How often the source was asked in `visits`, by the cursor's lines, and what is known then. */
async function check(
  source: DefinitionSource["definitionsNear"],
  lines: readonly number[],
  asked: number,
  known: number,
) {
  let times = 0;
  const definitions = new Definitions();
  definitions.use({
    definitionsNear: (...place) => {
      times++;
      return source(...place);
    },
  });
  for (const line of lines) {
    definitions.visit(open, 0, line);
    await delay(1);
  }
  assert.deepEqual([times, definitions.candidates(open.uri).length], [asked, known]);
  definitions.close();
}

suite("definitions from the editor", () => {
  test("are asked for once for a place", () => check(async () => [found], [1, 2, 9], 1, 1));
  test("are asked for again farther on", () => check(async () => [found], [1, 10, 30], 3, 1));
  test("are not asked for again while an answer is awaited", () =>
    check(() => new Promise(() => {}), [1, 40, 80], 1, 0));
  test("are none where the editor fails", () =>
    check(() => Promise.reject(new Error("no")), [1, 2], 1, 0));
  test("are none of the file itself, and none that say nothing", () =>
    check(
      async () => [
        { ...found, uri: open.uri },
        { ...found, text: " \n" },
      ],
      [1],
      1,
      0,
    ));
  test("are cut to 24 lines, with \\n", async () => {
    const definitions = new Definitions();
    definitions.use({ definitionsNear: async () => [{ ...found, text: "x;\r\n".repeat(40) }] });
    definitions.visit(open, 0, 0);
    assert.equal(definitions.isReady, false);
    await delay(1);
    assert.equal(definitions.isReady, true);
    const [candidate] = definitions.candidates(open.uri);
    assert.deepEqual(
      [candidate!.text, candidate!.range],
      ["x;\n".repeat(24), { start: 3, end: 27 }],
    );
  });
  test("are asked for again where there were none, after a while", async () => {
    let now = 0;
    let known: (typeof found)[] = []; // by a language server that is still starting
    const definitions = new Definitions(() => now);
    definitions.use({ definitionsNear: async () => known });
    const visit = async (time: number) => {
      now = time;
      definitions.visit(open, 0, 0);
      await delay(1);
      return definitions.candidates(open.uri).length;
    };
    assert.equal(await visit(0), 0);
    known = [found];
    assert.equal(await visit(9_000), 0);
    assert.equal(await visit(11_000), 1);
    known = [];
    assert.equal(await visit(60_000), 1);
  });
  test("are of the file that was asked about", async () => {
    const definitions = new Definitions();
    definitions.use({ definitionsNear: async () => [found] });
    definitions.visit(open, 0, 0);
    await delay(1);
    assert.deepEqual(definitions.candidates("file:///p/b.ts"), []);
  });
  test("are nothing without an editor", () => {
    const definitions = new Definitions();
    definitions.visit(open, 0, 0);
    assert.deepEqual([definitions.isReady, definitions.candidates(open.uri)], [true, []]);
  });
});
