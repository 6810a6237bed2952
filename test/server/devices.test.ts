// What becomes of the process that asks for GPUs: the programs here stand in for it.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Devices, probe } from "../../server/devices";
import { card, report } from "./support";

const onWindows = process.platform === "win32";
const SHORT_MS = 400; // for programs that never end
const LONG_MS = 20_000; // for a busy machine

/** What `script` makes of asking; `problem` is null or what the problem must say. */
async function check(script: string, problem: RegExp | null, limitMs = LONG_MS) {
  const found = await probe({ args: ["-e", script], limitMs });
  assert.equal(found.answered, problem === null, found.problem ?? "");
  if (problem === null) assert.deepEqual(found, { ...report([card()]), answered: true });
  else {
    assert.match(found.problem!, problem);
    assert.match(found.problem!, /set "ringside.device" to "cpu"/);
    assert.deepEqual(found.devices, []);
  }
}

const prints = (text: string) => `process.stdout.write(${JSON.stringify(text)});`;
const good = JSON.stringify(report([card()]));

/** What `look` finds, once it finds something. */
async function until<Found>(look: () => Found | false): Promise<Found> {
  for (const end = Date.now() + LONG_MS; Date.now() < end; await delay(10)) {
    const found = look();
    if (found) return found;
  }
  throw new Error(`Waited ${LONG_MS} ms for ${look}.`);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const nonsense = /gave no report that makes sense/;

suite("asking for GPUs", () => {
  test("takes the report", () => check(prints(`\n${good}\n`), null));
  test("takes the report of a process that says no line break", () => check(prints(good), null));
  test("takes its time", () => check(`setTimeout(() => { ${prints(`${good}\n`)} }, 300)`, null));
  test("takes a report that comes in parts", () =>
    check(
      `${prints(good.slice(0, 20))} setTimeout(() => { ${prints(`${good.slice(20)}\n`)} }, 50)`,
      null,
    ));
  test("finds the report among what the driver prints", () =>
    check(prints(`NVRM: {\n{"not": "it"}\n{...\n${good}\nbye\n`), null));
  test("takes the report of a process that hangs or crashes afterwards", async () => {
    await check(`${prints(`${good}\n`)} setInterval(() => {}, 1000)`, null);
    await check(`${prints(`${good}\n`)} process.kill(process.pid, "SIGABRT")`, null);
  });
  test("says that the driver crashed", { skip: onWindows && "it has no signals" }, () =>
    check(
      "process.kill(process.pid, 'SIGSEGV')",
      /^The graphics driver ended the process that asked for GPUs \(SIGSEGV\)\. Update the driver/,
    ),
  );
  test("says what Windows calls a crash", { skip: !onWindows && "a status has 8 bits" }, () =>
    check("process.exit(0xc0000005)", /exit code 0xc0000005\. Update/),
  );
  test("says how the process ended, and what it complained of", async () => {
    await check("process.exit(3)", /ended with exit code 3\. Update/);
    await check(
      "console.error('symbol lookup error: cuInit'); process.exitCode = 127",
      /exit code 127\. It said: symbol lookup error: cuInit\. Update/,
    );
    await check(`console.error("x".repeat(1e6)); process.exitCode = 1`, /It said: x{290,300}\. /);
  });
  test("gives up on a driver that hangs", () =>
    check("for (;;);", /^The graphics driver did not answer within 0\.4 s\. Update/, SHORT_MS));
  test("gives up on a process that SIGTERM does not end", () =>
    check(
      "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)",
      /did not answer/,
      SHORT_MS,
    ));
  test("makes nothing of what is no report", async () => {
    await check("", nonsense);
    await check(prints("garbage\n"), nonsense);
    await check(prints("{\n"), nonsense);
    await check(prints("[]\nnull\n7\n"), nonsense);
  });
  test("ends a process that does not stop to print", () =>
    check(
      `const more = () => process.stdout.write("{".repeat(65536) + "\\n", more); more()`,
      nonsense,
    ));
  test("makes nothing of a report with a field missing or of another type", async () => {
    const wrong: object[] = [
      { library: 3 },
      { runtimeVersion: undefined },
      { driverVersion: 12.8 },
      { problem: false },
      { devices: null },
      { devices: {} },
      { devices: [null] },
      { devices: Array.from({ length: 65 }, card) },
    ];
    const wrongCards: object[] = [
      { index: -1 },
      { index: "0" },
      { name: null },
      { computeCapability: 8.9 },
      { totalBytes: "12e9" },
      { freeBytes: 1.5 },
      { freeBytes: -1 },
      { problem: undefined },
      { problem: 0 },
    ];
    const reports = [
      ...wrong.map((change) => ({ ...report([card()]), ...change })),
      ...wrongCards.map((change) => report([card(), { ...card(), ...change }])),
    ];
    // One program prints them all: none of its lines may pass.
    const lines = reports.map((each) => JSON.stringify(each)).join("\n");
    await check(prints(`${lines}\n`), nonsense);
  });
  test("says that the process could not be started", async () => {
    const { answered, problem } = await probe({ args: ["\0"] });
    assert.equal(answered, false);
    assert.match(problem!, /could not be started/);
  });
  test("ends the process once nobody wants to know", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "ringside-probe-")), "pid");
    const script = `require("fs").writeFileSync(${JSON.stringify(file)}, process.pid + "\\n"); for (;;);`;
    const controller = new AbortController();
    const { signal } = controller;
    const asked = probe({ args: ["-e", script], signal });
    const pid = await until(
      () => existsSync(file) && Number.parseInt(readFileSync(file, "utf8"), 10),
    );
    controller.abort();
    await assert.rejects(asked, { name: "AbortError" });
    await until(() => !isRunning(pid));
    await assert.rejects(probe({ signal }), { name: "AbortError" });
  });
  test("leaves no listener behind", async () => {
    const before = process.listenerCount("exit");
    for (let i = 0; i < 3; i++) await probe({ args: ["-e", ""] });
    assert.equal(process.listenerCount("exit"), before);
  });
  test("runs its own program, from the sources too", async () => {
    const found = await probe();
    assert.equal(found.answered, true, found.problem ?? "");
    assert.ok(found.devices.length > 0 || found.problem !== null);
  });
});

suite("known GPUs", () => {
  test("starts no process where there is no driver to ask", async () => {
    const { NODE_OPTIONS, RINGSIDE_GPU_LIBRARY } = process.env;
    process.env.NODE_OPTIONS = "--require=/nowhere/at-all.cjs"; // no process of Node's starts
    try {
      process.env.RINGSIDE_GPU_LIBRARY = "/nowhere/ringside_cuda.so";
      const { answered, problem } = await new Devices().report();
      assert.ok(answered);
      assert.match(problem!, /no GPU part \(\/nowhere\/ringside_cuda\.so is not there\)/);
      process.env.RINGSIDE_GPU_LIBRARY = __filename; // a file: then one is started
      assert.equal((await new Devices().report()).answered, false);
    } finally {
      Object.assign(process.env, { NODE_OPTIONS: NODE_OPTIONS ?? "" });
      Object.assign(process.env, { RINGSIDE_GPU_LIBRARY: RINGSIDE_GPU_LIBRARY ?? "" });
    }
  });
  test("are asked for once, and again when that did not hold", async () => {
    let asked = 0;
    const devices = new Devices(async () => ({ ...report([card(asked++)]), answered: true }));
    assert.equal((await devices.report()).devices[0]!.index, 0);
    assert.equal((await devices.report()).devices[0]!.index, 0);
    assert.equal((await devices.reportAgain()).devices[0]!.index, 1);
    assert.equal((await devices.report()).devices[0]!.index, 1);
  });
  test("are asked for again when nobody waited for them", async () => {
    let asked = 0;
    const devices = new Devices(async ({ signal }) => {
      asked++;
      await delay(20, undefined, { ...(signal && { signal }) });
      return { ...report([card()]), answered: true };
    });
    await assert.rejects(devices.report(AbortSignal.abort()), { name: "AbortError" });
    assert.equal((await devices.report()).devices.length, 1);
    assert.equal(asked, 2);
  });
});
