// How fast Ringside reads and decodes beside llama.cpp: tokens a second in the best run of each,
// their ratio (ours / theirs), and the median ratio of neighbouring runs. Runs alternate, because
// machines have moods; what else runs slows the two unequally, so where the two ratios differ much
// the machine was busy, and the best runs are what to believe.
//
//   node test/peers/llama/speed.mjs [--models FOLDER] [--rounds N] [--prompt N] [--decode N]
//     [--threads N] [NAME...]
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { here, root, run, startTheirs } from "./engines.mjs";

const { Engine } = createRequire(import.meta.url)(join(root, "native/index.js"));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: "string" },
    rounds: { type: "string", default: "5" },
    prompt: { type: "string", default: "256" },
    decode: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
  },
});
const PROMPT = Number(values.prompt);
const DECODE = Number(values.decode);
const threads = Number(values.threads);
const CONTEXT = PROMPT + DECODE + 16;

/** Never the same prompt twice, so that nothing of it is held already. */
const promptOf = (round) =>
  Array.from({ length: PROMPT }, (_, i) => 300 + ((i * 7919 + round * 104729) % 17000));

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Milliseconds that llama.cpp takes to read a prompt up to its first choice, then to decode. */
async function timeTheirs(sequence, prompt) {
  await sequence.clearHistory();
  const start = performance.now();
  let read = 0;
  let generated = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (generated === 0) read = performance.now() - start;
    if (++generated === DECODE) break;
  }
  if (generated < DECODE) throw new Error(`llama.cpp ended after ${generated} tokens`);
  return { read, decode: performance.now() - start - read };
}

/** The same of ours; the generated tokens after the first are decoded, in both. */
async function timeOurs(engine, prompt) {
  engine.reset();
  const request = { tokens: Uint32Array.from(prompt), maxTokens: DECODE, draft: false };
  const never = Uint32Array.of(engine.info.vocabularySize - 1);
  const generated = await engine.generate({ ...request, ends: never }).done;
  if (generated.tokens.length !== DECODE) {
    throw new Error(`Ringside ended after ${generated.tokens.length} tokens`);
  }
  return { read: generated.readMs, decode: generated.decodeMs };
}

async function measure(llama, path) {
  const engine = await Engine.load(path, { contextTokens: CONTEXT, threads });
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: CONTEXT,
    batchSize: 512,
    threads,
  });
  const sequence = context.getSequence();
  const times = { ours: [], theirs: [] };
  for (let round = 0; round <= Number(values.rounds); round++) {
    const ours = await timeOurs(engine, promptOf(2 * round));
    const theirs = await timeTheirs(sequence, promptOf(2 * round + 1));
    if (round === 0) continue; // pages are read, clocks rise
    times.ours.push(ours);
    times.theirs.push(theirs);
  }
  engine.close();
  await model.dispose();
  return times;
}

function report(name, { ours, theirs }) {
  const cells = [name, engineName];
  for (const [part, tokens] of [
    ["read", PROMPT],
    ["decode", DECODE - 1],
  ]) {
    const ratios = theirs.map((t, i) => t[part] / ours[i][part]);
    const best = (times) => (1000 * tokens) / Math.min(...times.map((t) => t[part]));
    cells.push(best(ours).toFixed(1), best(theirs).toFixed(1));
    cells.push((best(ours) / best(theirs)).toFixed(2), median(ratios).toFixed(2));
  }
  console.log(`| ${cells.join(" | ")} |`);
}

let engineName = "";
const folder = values.models ?? mkdtempSync(join(tmpdir(), "ringside-speed-"));
try {
  const isThere = existsSync(folder) && readdirSync(folder).some((f) => f.endsWith(".gguf"));
  if (!isThere) run("python3", [join(here, "make_models.py"), folder, "--speed"]);
  const llama = await startTheirs();
  engineName = `llama.cpp ${llama.llamaCppRelease.release}`;
  console.log(
    `Prompt of ${PROMPT} tokens, ${DECODE} decoded, ${values.rounds} rounds, ${threads} threads.`,
  );
  const columns = "tokens/s | theirs | ratio | median ratio";
  console.log(`| model | beside | read: ${columns} | decode: ${columns} |`);
  console.log("|---|---|---|---|---|---|---|---|---|---|");
  for (const name of readdirSync(folder).sort()) {
    const wanted = positionals.length === 0 || positionals.some((part) => name.includes(part));
    if (name.endsWith(".gguf") && wanted) {
      report(name.replace(".gguf", ""), await measure(llama, join(folder, name)));
    }
  }
} finally {
  if (values.models === undefined) rmSync(folder, { recursive: true });
}
