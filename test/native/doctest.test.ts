import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { pathToFileURL } from "node:url";

interface Ended {
  readonly ok: boolean;
  readonly output: string;
}

interface Module {
  runCases(
    run: (args: string[]) => Promise<Ended>,
    args?: string[],
  ): Promise<{ passed: number; failed: number; output: string }>;
}

const loading: Promise<Module> = import(pathToFileURL(join(__dirname, "../doctest.mjs")).href);

/** A doctest program with so many cases, of which some fail and some end the process; what it ran. */
function program(cases: number, failing: number[] = [], crashing: number[] = []) {
  const ran: number[] = [];
  const run = async (args: string[]): Promise<Ended> => {
    if (args.includes("--count"))
      return { ok: true, output: `unskipped test cases passing the current filters: ${cases}\n` };
    const given = (name: string) => Number(args.find((arg) => arg.startsWith(name))?.split("=")[1]);
    const all = Array.from({ length: cases }, (_, i) => i + 1);
    const range = all.filter((i) => i >= given("--first") && i <= given("--last"));
    ran.push(...range);
    if (range.some((i) => crashing.includes(i))) return { ok: false, output: "half a lin" };
    const bad = range.filter((i) => failing.includes(i));
    const line = "=".repeat(79);
    const errors = bad.map((i) => `${line}\nTEST CASE:  number ${i}\n\nERROR: CHECK( false )\n`);
    // It counts those outside the range, too.
    const counts = `${cases} | ${cases - bad.length} passed | ${bad.length} failed | 0 skipped`;
    const summary = `${line}\n[doctest] test cases: ${counts}\n`;
    return { ok: bad.length === 0, output: `${errors.join("")}${summary}` };
  };
  return { run, ran };
}

suite("the cases of a doctest program", () => {
  for (const cases of [1, 2, 16, 17, 53, 200]) {
    test(`${cases} are each run once, and counted once`, async () => {
      const { runCases } = await loading;
      const { run, ran } = program(cases);
      assert.deepEqual(await runCases(run), { passed: cases, failed: 0, output: "" });
      ran.sort((a, b) => a - b);
      assert.deepEqual(
        ran,
        Array.from({ length: cases }, (_, i) => i + 1),
      );
    });
  }

  test("those that fail are counted and shown, wherever they are", async () => {
    const { runCases } = await loading;
    const { passed, failed, output } = await runCases(program(53, [1, 2, 30, 53]).run);
    assert.deepEqual([passed, failed], [49, 4]);
    for (const i of [1, 2, 30, 53]) assert.match(output, new RegExp(`number ${i}\n`));
  });

  test("a crash is a failure, and what was said before it is shown", async () => {
    const { runCases } = await loading;
    const { failed, output } = await runCases(program(53, [], [20]).run);
    assert.deepEqual([failed, output], [1, "half a lin"]);
  });

  test("a program that counts nothing failed", async () => {
    const { runCases } = await loading;
    const run = async () => ({ ok: false, output: "cannot execute" });
    assert.deepEqual(await runCases(run), { passed: 0, failed: 1, output: "cannot execute" });
  });
});
