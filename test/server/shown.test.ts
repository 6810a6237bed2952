import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { type Outcome, ShownProposal } from "../../server/shown";

const uri = "file:///a.ts";

/** Shows `proposal` behind "x = ", then edits to each of `texts`: what each edit did. */
function check(proposal: string, texts: string[], expected: (Outcome | null)[]) {
  const shown = new ShownProposal();
  shown.show({ uri, offset: 4, text: proposal });
  assert.deepEqual(
    texts.map((text) => shown.edited(uri, text)),
    expected,
  );
}

const typed: Outcome = { kind: "typed", characters: 1 };
const accepted = (proposal: string, characters: number, whole: boolean): Outcome => ({
  kind: "accepted",
  characters,
  whole,
  proposal,
});

suite("what becomes of a proposal", () => {
  test("is accepted at once", () => check("b + c;", ["x = b + c;"], [accepted("b + c;", 6, true)]));
  test("is accepted by words", () =>
    check(
      "b + c;",
      ["x = b + ", "x = b + c;"],
      [accepted("b + c;", 4, false), accepted("b + c;", 2, true)],
    ));
  test("is typed along, then accepted", () =>
    check(
      "b + c;",
      ["x = b", "x = b ", "x = b + c;"],
      [typed, typed, accepted("b + c;", 4, true)],
    ));
  test("is typed to its end", () => check("b", ["x = b"], [typed]));
  test("is typed where a key writes more than its character", () => {
    const keys = (characters: number): Outcome => ({ kind: "typed", characters });
    check("\n\t  b\n", ["x = \n\t  ", "x = \n\t  b", "x = \n\t  b\n"], [keys(4), typed, typed]);
    check("\n\tb", ["x = \r\n\t"], [keys(2)]);
    check("f()", ["x = f", "x = f()"], [typed, keys(2)]);
    for (const pair of ["()", "[]", "{}", '""', "''", "``", "😀"]) {
      check(`${pair};`, [`x = ${pair}`], [keys(2)]);
    }
    for (const word of ["(]", "\n b", "ab", ");", "\n\n"]) {
      check(`${word};`, [`x = ${word}`], [accepted(`${word};`, word.length, false)]);
    }
  });
  test("is left for something else", () => check("b", ["x = c", "x = "], [null, null]));
  test("has no part in edits elsewhere", () => check("b", ["x = \ny"], [null]));
  test("is taken back and accepted again", () =>
    check("bcd", ["x = bcd", "x = ", "x = bcd"], [accepted("bcd", 3, true), null, null]));
  test("is accepted in a file whose lines end with \\r\\n", () =>
    check(
      "b +\nc +\nd;",
      ["x = b", "x = b +\r\nc +", "x = b +\r\nc +\r\nd;"],
      [typed, accepted("b +\nc +\nd;", 6, false), accepted("b +\nc +\nd;", 3, true)],
    ));
  test("is an alternative that was gone on to", () => {
    const shown = new ShownProposal();
    shown.show({ uri, offset: 4, text: "bcd", alternatives: ["be;", "x"] });
    assert.deepEqual(shown.edited(uri, "x = be;"), accepted("be;", 3, true));
  });
  test("has no part in what stands behind the cursor, which may begin as it goes on", () => {
    for (const lineBreak of ["\n", "\r\n"]) {
      const shown = new ShownProposal();
      const behind = `${lineBreak}}${lineBreak}`;
      const proposal = "if (b) {\n  c\n}";
      const textOf = (length: number) =>
        `x = ${proposal.slice(0, length).replaceAll("\n", lineBreak)}`;
      const show = (length: number) =>
        shown.show({ uri, offset: textOf(length).length, text: proposal.slice(length), behind });
      const edited = (length: number) => shown.edited(uri, textOf(length) + behind);
      assert.equal(show(0), true);
      assert.deepEqual(edited(8), accepted(proposal, 8, false));
      assert.equal(show(8), false);
      assert.deepEqual(edited(11), { kind: "typed", characters: 3 }); // Enter, and the editor indents
      assert.deepEqual(edited(12), typed);
      assert.equal(show(12), false);
      assert.deepEqual(edited(14), accepted(proposal, 2, true));
    }
  });
  test("is followed where what stands behind the cursor changes too", () => {
    const shown = new ShownProposal();
    shown.show({ uri, offset: 4, text: "f(b);", behind: "}\n" });
    assert.deepEqual(shown.edited(uri, "x = f(b);\n"), accepted("f(b);", 5, true));
  });
  test("is one while its rest is shown behind \\r\\n", () => {
    const shown = new ShownProposal();
    shown.show({ uri, offset: 4, text: "b +\nc;" });
    shown.edited(uri, "x = b +\r\nc");
    assert.equal(shown.show({ uri, offset: 10, text: ";" }), false);
  });
  test("has no part in edits of another file", () => {
    const shown = new ShownProposal();
    shown.show({ uri, offset: 0, text: "bc" });
    assert.equal(shown.edited("file:///b.ts", "bc"), null);
  });
  test("is one while its rest is shown, and another one elsewhere", () => {
    const shown = new ShownProposal();
    assert.equal(shown.show({ uri, offset: 4, text: "bcd" }), true);
    assert.equal(shown.show({ uri, offset: 4, text: "bcd" }), false);
    shown.edited(uri, "x = b");
    assert.equal(shown.show({ uri, offset: 5, text: "cd" }), false);
    assert.equal(shown.show({ uri, offset: 5, text: "ce" }), true);
    shown.gone();
    assert.equal(shown.show({ uri, offset: 5, text: "ce" }), true);
  });
  test("counts each of its characters once, however it is taken", () =>
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.array(fc.nat(30)), (proposal, cuts) => {
        const shown = new ShownProposal();
        shown.show({ uri, offset: 4, text: proposal });
        const steps = [...cuts.map((cut) => Math.min(cut, proposal.length)), proposal.length];
        const ends = [...new Set(steps)].sort((a, b) => a - b).filter((end) => end > 0);
        const outcomes = ends.map((end) => shown.edited(uri, `x = ${proposal.slice(0, end)}`));
        const counted = outcomes.reduce((sum, outcome) => sum + (outcome?.characters ?? 0), 0);
        assert.equal(counted, proposal.length);
      }),
    ));
});
