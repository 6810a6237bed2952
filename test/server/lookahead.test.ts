import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LookAhead } from "../../server/lookahead";
import { at } from "./support";

const never = new AbortController().signal;

/** Starts writing at "a|", settles at `asked` after `afterMs`: what was done. */
async function check(asked: string, afterMs: number, expected: string[]) {
  const done: string[] = [];
  const lookAhead = new LookAhead();
  lookAhead.start(at("a|"), async (signal) => {
    done.push("begun");
    await new Promise((resolve) => setTimeout(resolve, 100));
    done.push(signal.aborted ? "stopped" : "written");
  });
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  await lookAhead.settle(at(asked), never);
  assert.deepEqual(done, expected);
  lookAhead.cancel();
}

suite("writing ahead", () => {
  test("waits for what is under way there", () => check("a|", 0, ["begun", "written"]));
  test("does not begin where another place is asked about at once", () => check("b|", 0, []));
  test("stops where another place is asked about", () => check("b|", 320, ["begun"]));
  test("does not pause where it is wanted already", async () => {
    const lookAhead = new LookAhead();
    let written = false;
    lookAhead.start(at("a|"), async () => {
      written = true;
    });
    let paused = false;
    const timer = setTimeout(() => {
      paused = true;
    }, 1); // no timer comes before what has nothing to wait for
    await lookAhead.settle(at("a|"), never);
    clearTimeout(timer);
    assert.deepEqual([written, paused], [true, false]);
  });
  test("has nothing to wait for", () => new LookAhead().settle(at("a|"), never));
  test("is given up by who no longer waits", async () => {
    const lookAhead = new LookAhead();
    lookAhead.start(at("a|"), () => new Promise(() => {}));
    const controller = new AbortController();
    const waiting = lookAhead.settle(at("a|"), controller.signal);
    controller.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    lookAhead.cancel();
  });
  test("fails for itself alone", async () => {
    const lookAhead = new LookAhead();
    lookAhead.start(at("a|"), () => Promise.reject(new Error("lost")));
    await lookAhead.settle(at("a|"), never);
  });
});
