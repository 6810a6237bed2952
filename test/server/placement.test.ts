import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Probe } from "../../server/devices";
import type { Device, ModelInfo } from "../../server/engine";
import type { Settings } from "../../server/protocol";
import { choose, deviceRows, deviceText } from "../../server/placement";
import { card, report } from "./support";

const found = (...devices: Device[]): Probe => ({ ...report(devices), answered: true });
const tooOld = { ...card(), problem: "Its driver is too old: install 13.0." };
const small = { ...card(1), name: "NVIDIA T400", freeBytes: 2e9 };
const crashed = { ...report([], "The driver crashed."), answered: false };
const oldDriver = { ...report([], "The driver is too old."), answered: true };
const noDriver = {
  ...report([], "There is no NVIDIA driver."),
  driverVersion: null,
  answered: true,
};

/** What is chosen, whether the status says so, and what the log says. */
function check(
  device: Settings["device"],
  probe: Probe | null,
  gpu: number | null,
  matters: boolean,
  why: RegExp,
) {
  const choice = choose(device, probe);
  assert.deepEqual([choice.gpu, choice.matters], [gpu, matters], choice.why);
  assert.match(choice.why, why);
}

suite("choice of a GPU", () => {
  test("is the one there is", () => {
    for (const device of ["auto", "cuda"] as const) {
      const why = /^NVIDIA GeForce RTX 4070 is chosen: 11 GB of 12 GB free\.$/;
      check(device, found(card(0)), 0, false, why);
    }
  });
  test("is the one with the most free memory, whatever the order", () => {
    const why = /^NVIDIA GeForce RTX 4070 is chosen: .* free, the most of 2 GPUs\.$/;
    check("auto", found(card(0), small), 0, false, why);
    check("auto", found({ ...small, index: 0 }, card(1)), 1, false, why);
  });
  test("is the first of equals", () =>
    check("auto", found(card(1), card(0)), 0, false, /most of 2/));
  test("leaves out what can't be used", () =>
    check(
      "cuda",
      found(tooOld, small),
      1,
      false,
      /^NVIDIA T400 is chosen: 2\.0 GB of 12 GB free\./,
    ));
  test("is none where there never was one, which is no news", () =>
    check(
      "auto",
      noDriver,
      null,
      false,
      /^The model runs on the CPU\. There is no NVIDIA driver\.$/,
    ));
  test("is none where one is there or the driver is broken, and the status says so", () => {
    check(
      "auto",
      found(tooOld),
      null,
      true,
      /CPU\. NVIDIA GeForce RTX 4070: Its driver is too old/,
    );
    check("auto", oldDriver, null, true, /The driver is too old/);
    check("auto", crashed, null, true, /The driver crashed/);
    check("auto", found(), null, true, /No GPU was found/);
  });
  test("says why there is none whenever one was asked for", () => {
    for (const probe of [noDriver, oldDriver, crashed, found(), found(tooOld)]) {
      check(
        "cuda",
        probe,
        null,
        true,
        /^A GPU was asked for, but none can be used, so .* CPU\. \w/,
      );
    }
  });
  test("is none where the CPU was asked for", () => {
    check("cpu", null, null, false, /as asked/);
    check("cpu", found(card()), null, false, /as asked/);
  });
});

suite("GPUs for a reader", () => {
  const rows = (probe: Probe) => deviceRows(probe).map(([name, text]) => `${name}: ${text}`);

  test("tell what each is and whether it can be used", () =>
    assert.deepEqual(rows(found(card(), { ...tooOld, index: 1 })), [
      "library: /opt/ringside/dist/ringside_cuda.so",
      "CUDA: runtime 13.0, driver 13.1",
      "GPU 0: NVIDIA GeForce RTX 4070, compute capability 8.9, 11 GB of 12 GB free, can be used",
      "GPU 1: NVIDIA GeForce RTX 4070, compute capability 8.9, 11 GB of 12 GB free, " +
        "can't be used: Its driver is too old: install 13.0.",
    ]));
  test("tell that there is none", () => {
    const none = { ...noDriver, library: null, runtimeVersion: null };
    assert.deepEqual(rows(none), ["library: none", "CUDA: runtime unknown, driver unknown"]);
    assert.equal(rows({ ...none, answered: false })[0], "library: unknown");
  });
  test("name where a model runs", () => {
    const text = (placement: object, threads = 4) =>
      deviceText({ backend: "avx2", threads, placement } as ModelInfo);
    const gpu = "NVIDIA GeForce RTX 4070";
    assert.equal(text({ gpu, gpuLayers: 20, layers: 28 }), `${gpu} (20 of 28 layers)`);
    assert.equal(text({ gpu: null, gpuLayers: 0, layers: 28 }), "CPU (avx2, 4 threads)");
    assert.equal(text({ gpu: null, gpuLayers: 0, layers: 28 }, 1), "CPU (avx2, 1 thread)");
  });
});
