// What the server's tests share: the bar as cursor, a vocabulary that can be read back, and GPUs.
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Device, DeviceReport } from "../../server/engine";
import type { Cursor, Vocabulary } from "../../server/prompt";

/** The cursor where the bar stands in `source`. */
export function at(source: string, path = "src/a.ts", languageId = "typescript"): Cursor {
  const bar = source.indexOf("|");
  return { prefix: source.slice(0, bar), suffix: source.slice(bar + 1), path, languageId };
}

const specials = ["<sep>", "<prefix>", "<suffix>", "<middle>", "<repo>", "<bos>"];

/** One token a UTF-16 unit, the specials below them; laid out as the bundled model's. */
export const vocabulary: Vocabulary = {
  encode: (text) => Array.from(text.split(""), (unit) => unit.charCodeAt(0) + specials.length),
  count: (line) => line.length,
  bos: null,
  fim: {
    layout: "ringside",
    prefix: 1,
    suffix: 2,
    middle: 3,
    suffixFirst: true,
    file: 0,
    repository: null,
    path: "beforeFim",
    alwaysPath: true,
  },
};

/** The text of `tokens`, specials by name. */
export function read(tokens: Uint32Array): string {
  const one = (token: number) => specials[token] ?? String.fromCharCode(token - specials.length);
  return Array.from(tokens, one).join("");
}

/** A GPU that can be used. */
export function card(index = 0): Device {
  return {
    index,
    name: "NVIDIA GeForce RTX 4070",
    computeCapability: "8.9",
    totalBytes: 12e9,
    freeBytes: 11e9,
    problem: null,
  };
}

/** What the driver says of `devices`. */
export function report(devices: readonly Device[], problem: string | null = null): DeviceReport {
  const versions = { runtimeVersion: "13.0", driverVersion: "13.1" };
  return { library: "/opt/ringside/dist/ringside_cuda.so", ...versions, devices, problem };
}

/** Bytes that are still held after `work`, what it returns included. */
export function heldBy(work: () => unknown): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const heldNow = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heldNow();
  const made = work();
  const held = heldNow() - before;
  assert.ok(made !== null); // until here
  return held;
}
