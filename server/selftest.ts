// Tries a model when it is chosen: can it fill in the middle, and how fast does it run here?

import type { ModelEngine } from "./engine";
import { type Speeds, type Tune, type Tuning, tune, type Wishes } from "./tuning";

export interface SelfTest {
  readonly speeds: Speeds;
  readonly tuning: Tuning;
  readonly tune: Tune;
  /** Sentences for the log and the status: what the model can't do, and how fast it is. */
  readonly says: readonly string[];
}

const READ_MS = 1000; // of the two seconds that a test takes
const DECODE_MS = 1000;
const FIRST = 8; // tokens of the first try; each is four times the one before
const MOST = 2048;
const NONE = 0; // tokens to decode when only reading is measured
const WARMING = 2; // tokens that map the weights in before decoding is measured

/**
 * Takes about two seconds, longer only for a model that reads FIRST tokens in more; what was read
 * before is forgotten. Rejects once `signal` fires.
 */
export async function selfTest(
  engine: ModelEngine,
  wishes: Omit<Wishes, "rereads">,
  signal: AbortSignal,
): Promise<SelfTest> {
  const { fim } = engine.vocabulary;
  const speeds = await measure(engine, signal);
  const rereads = fim !== null && !fim.suffixFirst;
  const tuneTo: Tune = (others) => tune(speeds, { ...others, rereads });
  const tuning = tuneTo(wishes);
  const says = [tuning.says];
  if (fim === null) {
    says.push(
      `${engine.info.name} was not trained to fill in the middle: it completes by going on from ` +
        "what stands before the cursor, and does not see what follows.",
    );
  }
  return { speeds, tuning, tune: tuneTo, says };
}

/** Tokens a second, of the longest try that fits the time. */
async function measure(engine: ModelEngine, signal: AbortSignal): Promise<Speeds> {
  const tokens = sampleTokens(engine);
  // The text repeats itself, and guesses would all be right.
  const options = {
    features: [],
    singleLine: false,
    until: () => null,
    ends: NEVER,
    draft: false,
  };
  let read = 0;
  for (let count = FIRST; count <= Math.min(MOST, tokens.length); count *= 4) {
    engine.reset();
    const prompt = { tokens: tokens.slice(0, count), featuresFrom: count };
    const { readTokens, readMs } = await engine.generate(
      prompt,
      { ...options, maxTokens: NONE },
      signal,
    );
    read = (readTokens / Math.max(readMs, 0.01)) * 1000;
    if (readMs * 4 > READ_MS) break;
  }
  const prompt = { tokens: tokens.slice(0, FIRST), featuresFrom: FIRST };
  await engine.generate(prompt, { ...options, maxTokens: WARMING }, signal);
  const end = performance.now() + DECODE_MS;
  const { generatedTokens, decodeMs } = await engine.generate(
    prompt,
    { ...options, maxTokens: MOST, until: () => (performance.now() > end ? "" : null) },
    signal,
  );
  // The first token's logits come with the reading: one step less than tokens.
  const decode = (Math.max(1, generatedTokens - 1) / Math.max(decodeMs, 0.01)) * 1000;
  engine.reset();
  return { read, decode };
}

const NEVER = Uint32Array.of(0xffffff); // no vocabulary is that large: nothing ends the text

/** Text as it stands in an editor, as many tokens of it as the model's context allows. */
function sampleTokens(engine: ModelEngine): Uint32Array {
  const line = "  const total = items.map((item) => item.price * item.count).reduce(add, 0);\n";
  const tokens = engine.encode(line.repeat(MOST / 8), true);
  return tokens.slice(0, Math.min(MOST, engine.info.contextTokens / 2));
}
