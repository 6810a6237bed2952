// A session on machines that are not there: what becomes of a GPU that does not do what it should.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { Devices, type Probe } from "../../server/devices";
import type { LoadOptions, ModelEngine } from "../../server/engine";
import { isAbort } from "../../server/errors";
import type { Settings, Status } from "../../server/protocol";
import type { KeyOf } from "../../server/remote/key";
import { Session } from "../../server/session";
import { defaultSettings } from "../../server/settings";
import { card, report, vocabulary } from "./support";

const usable: Probe = { ...report([card()]), answered: true };
const without: Probe = {
  ...report([], "There is no NVIDIA driver."),
  ...{ library: null, driverVersion: null, answered: true },
};
const onGpu = /^NVIDIA GeForce RTX 4070 \(6 of 6 layers\)$/;
const onCpu = /^CPU \(avx2, 4 threads\)$/;

const failure = (code: string, message: string) => Object.assign(new Error(message), { code });
const lost = () => failure("DEVICE_LOST", "CUDA error 719.");

/** What this machine does; what is not given does what it should. */
interface Behaviour {
  readonly probe?: Probe;
  readonly load?: (options: LoadOptions) => void;
  readonly generate?: (options: LoadOptions) => void | Promise<void>;
  /** What the model takes of the GPU. */
  readonly layers?: number;
  readonly keyOf?: KeyOf;
}

/** A session with `behaviour`, and what it did. */
function start({ probe = usable, load, generate, layers = 6, keyOf }: Behaviour) {
  const loads: LoadOptions[] = [];
  const statuses: Status[] = [];
  const logs: string[] = [];
  const closed: LoadOptions[] = [];
  let asked = 0;
  const engineOf = (options: LoadOptions) => {
    const gpuLayers = typeof options.gpu === "number" ? layers : 0;
    const gpu = gpuLayers > 0 ? card().name : null;
    return {
      info: {
        name: "tiny",
        backend: gpu === null ? "avx2" : "cuda",
        threads: 4,
        contextTokens: 4096,
        syntaxFeatures: [],
        placement: { gpu, layers: 6, gpuLayers, explanation: `${gpuLayers} layers fit.` },
        memory: { explanation: "It fits." },
      },
      name: "tiny",
      contextTokens: 4096,
      vocabulary,
      encode: vocabulary.encode,
      generate: async (_: unknown, __: unknown, signal: AbortSignal) => {
        await generate?.(options);
        signal.throwIfAborted();
        const times = { truncateMs: 0, readMs: 1, decodeMs: 1 };
        const counts = { promptTokens: 1, reusedTokens: 0, readTokens: 1, generatedTokens: 1 };
        return { text: "value;", tokens: [], ...counts, ...times };
      },
      reset: () => {},
      close: () => closed.push(options),
    } as unknown as ModelEngine;
  };
  const machine = {
    devices: new Devices(async () => {
      asked++;
      return probe;
    }),
    load: async (_: string, options: LoadOptions = {}) => {
      loads.push(options);
      load?.(options);
      return engineOf(options);
    },
  };
  const session = new Session(
    "/models/tiny",
    {
      status: (status) => statuses.push(status),
      log: (message) => logs.push(message),
      textOf: () => undefined,
      activity: () => {},
    },
    machine,
    keyOf,
  );
  return { session, loads, statuses, logs, closed, asked: () => asked };
}

type Started = ReturnType<typeof start>;

const gpusOf = ({ loads }: Started) => loads.map(({ gpu }) => gpu ?? null);

/** The last status, which must be that a model is ready there, and say that much. */
function ready({ statuses }: Started, device: RegExp, ...says: RegExp[]) {
  const last = statuses.at(-1);
  assert.ok(last?.kind === "ready", JSON.stringify(last));
  assert.match(last.device, device);
  assert.equal(last.says.length, says.length, last.says.join(" | "));
  for (const [i, expected] of says.entries()) assert.match(last.says[i]!, expected);
}

/** Loads what `settings` ask for. */
async function check(behaviour: Behaviour, settings: Partial<Settings>) {
  const started = start(behaviour);
  await started.session.load({ ...defaultSettings, ...settings });
  return started;
}

/** The text that is proposed, as the server asks for it. */
async function ask({ session }: Started, text: string): Promise<string> {
  const { engine } = session;
  if (engine === null) return "";
  try {
    const document = { uri: "file:///a.ts", languageId: "typescript", version: 1, text };
    const settings = { ...defaultSettings, debounceMs: 0 };
    const request = { document, offset: text.length, others: [], invoked: true };
    const at = { uri: document.uri, offset: text.length };
    const { signal } = new AbortController();
    const [first] = await session.complete(request, at, settings, signal);
    return first?.text ?? "";
  } catch (error) {
    if (!isAbort(error)) session.completionFailed(error, engine);
    return "";
  }
}

suite("a model that another one is chosen after, while it is loaded", () => {
  for (const fails of [false, true]) {
    test(`is not said to be ${fails ? "broken" : "ready"}`, async () => {
      let last: Promise<void> | null = null;
      const started = start({
        load: () => {
          if (last !== null) return;
          last = started.session.load({ ...defaultSettings, threads: 2 });
          if (fails) throw failure("MODEL_CORRUPT", "No.");
        },
      });
      await started.session.load(defaultSettings);
      await last;
      const settled = started.statuses.filter(({ kind }) => kind !== "loading");
      assert.deepEqual(
        settled.map(({ kind }) => kind),
        ["ready"],
      );
      assert.equal(started.closed.length, fails ? 0 : 1);
    });
  }
});

suite("an endpoint whose key the editor does not give yet", () => {
  test("does not keep another model waiting", async () => {
    const started = start({ keyOf: () => new Promise(() => {}) });
    const endpoint = "http://127.0.0.1:9/v1";
    void started.session.load({ ...defaultSettings, endpoint });
    await new Promise((resolve) => setImmediate(resolve)); // it has been asked for
    const late = new Promise((resolve) => setTimeout(resolve, 1000));
    await Promise.race([started.session.load(defaultSettings), late]);
    ready(started, onGpu);
  });
});

suite("a quick model after a slow one", () => {
  test("is not waited for as long", async () => {
    const { session } = await check({}, {});
    const { debounce } = session.completions;
    const first = debounce.waitMs(null);
    debounce.expect(4000);
    await session.load({ ...defaultSettings, threads: 2 });
    assert.equal(debounce.waitMs(null), first);
  });
});

suite("session and GPUs", () => {
  test("loads on the GPU, with no word but the device", async () => {
    for (const device of ["auto", "cuda"] as const) {
      const started = await check({}, { device });
      assert.deepEqual(gpusOf(started), [0]);
      assert.equal(started.loads[0]!.gpuMemoryBytes, 0);
      ready(started, onGpu);
      assert.ok(started.logs.some((line) => /RTX 4070 is chosen/.test(line)));
      assert.ok(started.logs.includes("6 layers fit."));
    }
  });
  test("lets the model take as much of the GPU's memory as the settings allow", async () => {
    const { session, loads } = await check({}, { gpuMemoryMB: 500 });
    assert.equal(loads[0]!.gpuMemoryBytes, 500e6);
    await session.load({ ...defaultSettings, gpuMemoryMB: 600 });
    assert.equal(loads[1]!.gpuMemoryBytes, 600e6);
  });
  test("lets the model take three quarters of what a container has", async (context) => {
    context.mock.method(process, "constrainedMemory", () => 400e6);
    const { loads } = await check({}, {});
    assert.equal(loads[0]!.memoryBytes, 300e6);
  });
  test("asks the driver once for many models, and never for the CPU", async () => {
    const started = await check({}, { device: "cpu" });
    assert.equal(started.asked(), 0);
    assert.deepEqual(gpusOf(started), [null]);
    ready(started, onCpu);
    for (const threads of [1, 2]) await started.session.load({ ...defaultSettings, threads });
    assert.equal(started.asked(), 1);
  });
  test("tells the log alone that a machine has no GPU", async () => {
    const started = await check({ probe: without }, {});
    ready(started, onCpu);
    assert.ok(started.logs.includes("The model runs on the CPU. There is no NVIDIA driver."));
  });
  test("says why the CPU is used where a GPU was asked for", async () =>
    ready(
      await check({ probe: without }, { device: "cuda" }),
      onCpu,
      /^A GPU was asked for.*There is no NVIDIA driver\.$/,
    ));
  test("says that the process that asked for GPUs crashed", async () =>
    ready(
      await check({ probe: { ...without, answered: false, problem: "It crashed." } }, {}),
      onCpu,
      /It crashed\.$/,
    ));
  test("says that no layer fits the GPU", async () =>
    ready(await check({ layers: 0 }, {}), onCpu, /^0 layers fit\.$/));
  test("loads on the CPU what the GPU does not take, says so and asks the driver again", async () => {
    for (const code of ["DEVICE_LOST", "OUT_OF_MEMORY"]) {
      const load = ({ gpu }: LoadOptions) => {
        if (gpu === 0) throw failure(code, "Another program has it.");
      };
      const started = await check({ load }, {});
      assert.deepEqual(gpusOf(started), [0, null]);
      ready(started, onCpu, /^The GPU could not be used.*CPU\. Another program has it\.$/);
      assert.equal(started.asked(), 2);
      await new Promise((resolve) => setImmediate(resolve));
      assert.match(started.logs.join("\n"), /^GPU 0: .*can be used$/m);
    }
  });
  test("fails with what is wrong with the model, wherever it is loaded", async () => {
    const load = () => {
      throw failure("MODEL_CORRUPT", "It is cut short.");
    };
    const { statuses, loads } = await check({ load }, {});
    assert.equal(loads.length, 1);
    const last = statuses.at(-1)!;
    assert.equal(last.kind === "failed" && last.code, "MODEL_CORRUPT");
  });
  test("fails once if neither the GPU nor the CPU has room", async () => {
    const load = () => {
      throw failure("OUT_OF_MEMORY", "It does not fit.");
    };
    const { statuses, loads } = await check({ load }, {});
    assert.equal(loads.length, 2);
    const last = statuses.at(-1)!;
    assert.equal(last.kind === "failed" && last.code, "OUT_OF_MEMORY");
  });
});

suite("a GPU that is lost", () => {
  const losing = (options: LoadOptions) => {
    if (options.gpu === 0) throw lost();
  };
  const says = /^The GPU was lost.*CPU\. CUDA error 719\. Restart the server to try/;

  test("is replaced by the CPU, and the next completion works", async () => {
    const started = await check({ generate: losing }, {});
    ready(started, onGpu);
    assert.equal(await ask(started, "a = "), "");
    await started.session.load(defaultSettings); // waits for what is under way
    ready(started, onCpu, says);
    assert.equal(await ask(started, "a = "), "value;");
    assert.deepEqual(gpusOf(started), [0, null]);
    assert.equal(started.closed.length, 1);
    assert.ok(started.statuses.every(({ kind }) => kind !== "failed"));
  });
  test("is not tried again by this process, whatever is loaded next", async () => {
    const started = await check({ generate: losing }, {});
    await ask(started, "a = ");
    for (const device of ["cuda", "auto"] as const) {
      await started.session.load({ ...defaultSettings, device, threads: 2 });
      ready(started, onCpu, says);
    }
    await started.session.load({ ...defaultSettings, device: "cpu" });
    ready(started, onCpu);
    assert.deepEqual(
      gpusOf(started)
        .slice(1)
        .filter((gpu) => gpu !== null),
      [],
    );
  });
  test("is replaced once for several completions that it fails", async () => {
    const started = await check({ generate: losing }, {});
    assert.deepEqual(
      await Promise.all(["a = ", "b = ", "c = "].map((text) => ask(started, text))),
      ["", "", ""],
    );
    assert.equal(started.statuses.filter(({ kind }) => kind === "failed").length, 0);
    await started.session.load(defaultSettings);
    ready(started, onCpu, says);
    assert.equal(started.loads.length, 2);
  });
  test("is replaced once: a CPU that says the same has failed", async () => {
    const generate = () => {
      throw lost();
    };
    const started = await check({ generate }, {});
    await ask(started, "a = ");
    await started.session.load(defaultSettings);
    await ask(started, "a = ");
    await started.session.load(defaultSettings);
    assert.equal(started.loads.length, 2);
    const last = started.statuses.at(-1)!;
    assert.equal(last.kind === "failed" && last.code, "DEVICE_LOST");
  });
  test("is replaced when the self-test loses it", async () => {
    const model = mkdtempSync(join(tmpdir(), "ringside-session-"));
    const started = await check({ generate: losing }, { model });
    ready(started, onCpu, /^Completes in|^Too slow/, says);
    assert.deepEqual(gpusOf(started), [0, null]);
    assert.deepEqual(started.closed, [started.loads[0]]);
  });
  test("has nothing to say once another model has replaced it", async () => {
    const started = await check({}, {});
    const { engine } = started.session;
    await started.session.load({ ...defaultSettings, threads: 2 });
    started.session.completionFailed(lost(), engine);
    await started.session.load({ ...defaultSettings, threads: 2 });
    ready(started, onGpu);
    assert.equal(started.loads.length, 2);
  });
});

suite("a completion under way", () => {
  const text = "a = ";

  /** Does `change` while the model writes: nothing is proposed, and the model is asked again after it. */
  async function checkChange(change: (session: Session) => unknown): Promise<void> {
    let calls = 0;
    const generate = async () => {
      if (calls++ === 0) await change(started.session);
    };
    const started = await check({ generate }, {});
    assert.equal(await ask(started, text), "");
    assert.match(started.session.why("file:///a.ts"), /Nothing has been asked for/);
    assert.ok(started.statuses.every(({ kind }) => kind !== "failed"));
    assert.equal(await ask(started, text), "value;");
    assert.ok(calls > 1, "it was kept");
  }

  test("is given up when its document is closed", () =>
    checkChange((session) => session.completions.closed("file:///a.ts")));
  test("is given up when the settings change", () =>
    checkChange((session) => session.completions.forget()));
  test("is given up when another model is loaded", () =>
    checkChange((session) => session.load({ ...defaultSettings, threads: 2 })));
  test("goes on when another document is closed", async () => {
    const generate = () => started.session.completions.closed("file:///b.ts");
    const started = await check({ generate }, {});
    assert.equal(await ask(started, text), "value;");
  });
});

suite("statistics of a session", () => {
  test("count what is accepted together with a selected suggestion", async () => {
    const { session } = await check({}, {});
    const uri = "file:///a.ts";
    const document = { uri, languageId: "typescript", version: 1, text: "a.fo" };
    const selected = { start: 2, text: "forEach" };
    const request = { document, offset: 4, others: [], invoked: true, selected };
    const { signal } = new AbortController();
    const settings = { ...defaultSettings, debounceMs: 0 };
    const [first] = await session.complete(request, { uri, offset: 2 }, settings, signal);
    assert.equal(first?.text, "value;");
    session.completions.edited({ ...document, text: "a.forEachvalue;" });
    const { accepted, acceptedCharacters } = session.completions.statistics.report().total;
    assert.deepEqual([accepted, acceptedCharacters], [1, 6]);
    session.completions.close();
  });
});
