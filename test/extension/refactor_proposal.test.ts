import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readHistory, withInstruction } from "../../extension/refactor/history";
import { titleOf } from "../../extension/refactor/presets";
import { movedBy, offsetOf, Proposal } from "../../extension/refactor/proposal";

/** The span between the bars of `before` must be that of `after` once `text` takes the place of «...». */
function check(before: string, text: string, after: string) {
  const bars = (source: string) => {
    const clean = source.replace(/[«»]/g, "");
    const start = clean.indexOf("|");
    return { start, end: clean.lastIndexOf("|") - 1 };
  };
  const plain = before.replaceAll("|", "");
  const rangeOffset = plain.indexOf("«");
  const rangeLength = plain.indexOf("»") - rangeOffset - 1;
  assert.deepEqual(movedBy(bars(before), { rangeOffset, rangeLength, text }), bars(after));
}

suite("a proposal", () => {
  const base = "a\nb\nc\n";

  test("is the document until something is written, then has that in the target's place", () => {
    const proposal = new Proposal(base, { start: 2, end: 3 });
    assert.equal(proposal.text, base);
    assert.deepEqual(proposal.hunks, []);
    proposal.write("x\ny");
    assert.equal(proposal.text, "a\nx\ny\nc\n");
    proposal.write("z");
    assert.equal(proposal.text, "a\nz\nc\n");
  });
  test("fits what it was made from, with what was accepted of it", () => {
    const proposal = new Proposal("a\nb\nc", { start: 0, end: 5 });
    proposal.write("x\nb\ny");
    assert.ok(proposal.fits("a\nb\nc") && !proposal.fits("x\nb\nc"));
    proposal.accepted(proposal.hunks[1]!);
    assert.ok(proposal.fits("a\nb\ny") && !proposal.fits("a\nb\nc"));
    assert.equal(proposal.hunks.length, 1);
    assert.equal(proposal.text, "x\nb\ny");
    proposal.accepted(proposal.hunks[0]!);
    assert.ok(proposal.fits(proposal.text));
  });
  test("finds places as the server tells them", () => {
    assert.equal(offsetOf("a\r\nb😀c", { line: 1, character: 3 }), 6);
    assert.equal(offsetOf("", { line: 0, character: 0 }), 0);
  });
});

suite("what is selected, while the document is edited", () => {
  test("moves with what comes before it", () => check("«a»bc|d|e", "xyz", "xyzbc|d|e"));
  test("stays where something comes behind it", () => check("|a|bc«d»", "", "|a|bc"));
  test("grows with what is written in it", () => check("|a«b»c|", "xyz", "|axyzc|"));
  test("takes in what it overlaps", () => check("a«b|c»d|e", "x", "a|xd|e"));
  test("stays empty where it is a cursor", () => {
    check("a«b||c»d", "xyz", "ab||");
    check("a«bc||c»d", "x", "ax||");
  });
});

suite("instructions", () => {
  test("are kept newest first, each once, and not without end", () => {
    assert.deepEqual(withInstruction(["a", "b", "c"], " b "), ["b", "a", "c"]);
    assert.deepEqual(withInstruction(["a"], "  "), ["a"]);
    const many = Array.from({ length: 99 }, (_, i) => `${i}`).reduce<string[]>(withInstruction, []);
    assert.equal(many.length, 30);
    assert.equal(many[0], "98");
  });
  test("are read from whatever was stored", () => {
    assert.deepEqual(readHistory(undefined), []);
    assert.deepEqual(readHistory({ a: 1 }), []);
    assert.deepEqual(readHistory(["a", 1, null, "b"]), ["a", "b"]);
  });
  test("give a title that a tab has room for", () => {
    assert.equal(titleOf({ preset: "addTypes", instruction: "" }), "Add types");
    assert.equal(titleOf({ preset: null, instruction: "Use\n a map" }), "Use a map");
    assert.equal(titleOf({ preset: null, instruction: "x".repeat(99) }).length, 40);
  });
});
