import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Background } from "../../../server/context/background";
import { parse } from "../../../server/syntax";

suite("background", () => {
  test("parses as all at once does, in several slices", async () => {
    const text = Array.from({ length: 4000 }, (_, i) => `const x${i} = f(${i}, "é");\n`).join("");
    let slices = 0;
    const background = new Background();
    const rest = background.rest.bind(background);
    background.rest = () => {
      slices++;
      return rest();
    };
    const tree = await background.parse("typescript", text);
    assert.ok(slices > 1, `${slices} slices`);
    assert.equal(tree!.rootNode.toString(), parse("typescript", text)!.rootNode.toString());
  });
  test("parses one text after another, whoever asks", async () => {
    const background = new Background();
    const texts = Array.from({ length: 8 }, (_, i) => `const a = ${"1 + ".repeat(3000 * i)}1;\n`);
    const trees = await Promise.all(texts.map((text) => background.parse("javascript", text)));
    assert.deepEqual(
      trees.map((tree) => tree!.rootNode.endIndex),
      texts.map((text) => text.length),
    );
  });
  test("has no tree without a grammar", async () =>
    assert.equal(await new Background().parse("plaintext", "a"), null));
  test("rests while a completion runs, and until the last one has ended", async () => {
    const background = new Background();
    const [first, second] = [background.pause(), background.pause()];
    let rested = false;
    const rest = background.rest().then(() => {
      rested = true;
    });
    assert.ok(background.due);
    first();
    first();
    await delay(15);
    assert.equal(rested, false);
    second();
    await rest;
    assert.equal(background.due, false);
  });
  test("ends what rests when it is closed", async () => {
    const background = new Background();
    background.pause();
    const rest = background.rest();
    await delay(10);
    background.close();
    await assert.rejects(rest, { name: "AbortError" });
  });
});
