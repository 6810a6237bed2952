// Both engines, on the CPU with two threads.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { getLlama } from "node-llama-cpp";

export const here = import.meta.dirname;
export const root = resolve(here, "../../..");
export const THREADS = 2;
const build = join(root, "build/peers");

export function run(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw error ?? new Error(`${command} ${args[0]} failed:\n${stderr}`);
}

/** Ringside's engine as a program that writes logits. */
export function buildOurs() {
  run("cmake", ["-S", here, "-B", build]);
  run("cmake", ["--build", build, "-j2"]);
}

/** llama.cpp as node-llama-cpp ships it. Builds and downloads nothing. */
export function startTheirs() {
  const options = { gpu: false, build: "never", skipDownload: true, logLevel: "error" };
  return getLlama({ ...options, maxThreads: THREADS });
}

/** Logits of each position of each sequence, with keys and values in float32 as ours are. */
export async function theirLogits(llama, path, sequences) {
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 512,
    batchSize: 512,
    threads: THREADS,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  const options = { generateNext: { logits: true, options: { temperature: 0 } } };
  const rows = [];
  for (const tokens of sequences) {
    await sequence.clearHistory();
    const results = await sequence.controlledEvaluate(tokens.map((token) => [token, options]));
    for (const { next } of results) {
      const row = new Float64Array(next.logits.size);
      for (const [token, logit] of next.logits) row[token] = logit;
      rows.push(row);
    }
  }
  await model.dispose();
  return rows;
}

/** The same of ours. `backend`: "auto", or one of kernels/backend.h. Writes into `folder`. */
export function ourLogits(path, sequences, backend, folder) {
  const out = join(folder, "logits.bin");
  return sequences.flatMap((tokens) => {
    run(join(build, "logits"), [path, out, backend, ...tokens.map(String)]);
    const bytes = readFileSync(out);
    const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const width = all.length / tokens.length;
    return tokens.map((_, i) => Float64Array.from(all.subarray(i * width, (i + 1) * width)));
  });
}
