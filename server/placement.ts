// Where a model runs: which GPU is chosen, and what becomes of it if that one does not take it.

import type { Devices, Probe } from "./devices";
import type { Device, LoadOptions, ModelEngine, ModelInfo } from "./engine";
import { coded } from "./errors";
import type { Settings } from "./protocol";
import { bytesText } from "./units";

export interface Choice {
  /** The index of the GPU; null: the CPU alone. */
  readonly gpu: number | null;
  /** For the log: what was chosen, and why. */
  readonly why: string;
  /** Whether the status says it too: a GPU was asked for or is there, and can't be used. */
  readonly matters: boolean;
}

/** What `device` means on a machine with these GPUs: of those that can be used, the one with the most free memory. */
export function choose(device: Settings["device"], probe: Probe | null): Choice {
  if (device === "cpu" || probe === null) {
    return { gpu: null, why: "The model runs on the CPU, as asked.", matters: false };
  }
  const usable = probe.devices.filter(({ problem }) => problem === null);
  const [best] = usable.toSorted((a, b) => b.freeBytes - a.freeBytes || a.index - b.index);
  if (best !== undefined) {
    const most = usable.length > 1 ? `, the most of ${usable.length} GPUs` : "";
    const why = `${best.name} is chosen: ${memoryText(best)}${most}.`;
    return { gpu: best.index, why, matters: false };
  }
  const reason = whyNone(probe);
  if (device === "cuda") {
    const why = `A GPU was asked for, but none can be used, so the model runs on the CPU. ${reason}`;
    return { gpu: null, why, matters: true };
  }
  // A machine that never had a GPU is no news; one whose driver is there or went wrong is.
  const matters = !probe.answered || probe.driverVersion !== null || probe.devices.length > 0;
  return { gpu: null, why: `The model runs on the CPU. ${reason}`, matters };
}

/** The choice for `device`, for which the driver is asked unless it is the CPU. Rejects once `signal` fires. */
export async function chosen(
  device: Settings["device"],
  devices: Devices,
  signal?: AbortSignal,
): Promise<Choice> {
  return choose(device, device === "cpu" ? null : await devices.report(signal));
}

function memoryText({ freeBytes, totalBytes }: Device): string {
  return `${bytesText(freeBytes)} of ${bytesText(totalBytes)} free`;
}

function whyNone({ devices, problem }: Probe): string {
  const each = devices.map((device) => `${device.name}: ${device.problem}`);
  return each.length > 0 ? each.join(" ") : (problem ?? "No GPU was found.");
}

/** Rows of a name and what is so called: what is known of the GPUs here. Why none is used is the choice's to say. */
export function deviceRows(probe: Probe): [string, string][] {
  const { library, runtimeVersion, driverVersion, devices } = probe;
  const cuda = `runtime ${runtimeVersion ?? "unknown"}, driver ${driverVersion ?? "unknown"}`;
  const gpus = devices.map((device): [string, string] => {
    const use = device.problem === null ? "can be used" : `can't be used: ${device.problem}`;
    const capability = `compute capability ${device.computeCapability}`;
    return [`GPU ${device.index}`, `${device.name}, ${capability}, ${memoryText(device)}, ${use}`];
  });
  return [["library", library ?? (probe.answered ? "none" : "unknown")], ["CUDA", cuda], ...gpus];
}

export interface Loading {
  readonly path: string;
  readonly options: LoadOptions;
  readonly choice: Choice;
  /** 0: what is free. */
  readonly gpuMemoryBytes: number;
  readonly onProgress?: (share: number) => void;
}

export interface Loaded {
  readonly engine: ModelEngine;
  /** Sentences for the status: why the GPU does not run the model, if it should. */
  readonly says: readonly string[];
  /** Whether the GPU that was chosen did not take the model. */
  readonly gpuFailed: boolean;
}

/** Loads a model where `choice` has it, and on the CPU if the GPU is lost or has no room. */
export async function loadPlaced(
  { path, options, choice, gpuMemoryBytes, onProgress = () => {} }: Loading,
  load: typeof ModelEngine.load,
): Promise<Loaded> {
  const says: string[] = [];
  const { gpu } = choice;
  if (gpu !== null) {
    try {
      const engine = await load(path, { ...options, gpu, gpuMemoryBytes }, onProgress);
      const { placement } = engine.info;
      return {
        engine,
        says: placement.gpu === null ? [placement.explanation] : [],
        gpuFailed: false,
      };
    } catch (error) {
      const { code, message } = coded(error);
      if (code !== "DEVICE_LOST" && code !== "OUT_OF_MEMORY") throw error;
      says.push(`The GPU could not be used, so the model runs on the CPU. ${message}`);
    }
  } else if (choice.matters) says.push(choice.why);
  return { engine: await load(path, options, onProgress), says, gpuFailed: gpu !== null };
}

/** "NVIDIA GeForce RTX 4070 (28 of 28 layers)", or "CPU (avx2, 4 threads)". */
export function deviceText({ backend, threads, placement }: ModelInfo): string {
  const { gpu, gpuLayers, layers } = placement;
  if (gpu !== null) return `${gpu} (${gpuLayers} of ${layers} layers)`;
  return `CPU (${backend}, ${threads} ${threads === 1 ? "thread" : "threads"})`;
}
