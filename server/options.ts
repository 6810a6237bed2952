// What the command line takes: its usage, and from arguments to options.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { contextFor } from "./completion";
import type { LoadOptions } from "./engine";
import { RingsideError } from "./errors";
import { modelsOptions, modelsUsage } from "./models/cli";
import { modelsDirectoryIn, resolveModel } from "./models/source";
import type { Settings } from "./protocol";
import { defaultSettings } from "./settings";

export const usage = `Usage:
  ringside complete FILE:LINE:COLUMN   the completion there, and what it cost (LINE and COLUMN from 1)
  ringside bench                       tokens a second of reading and of decoding
  ringside inspect [FILE]              what a model is: family, size, memory, what it can be asked
  ringside test [FILE]                 how fast a model is here, and what that makes of the settings
  ringside chat TEXT                   the answer of a model that follows instructions
  ringside devices                     the GPUs here, why one can't be used, and what a model would run on
${modelsUsage}

Options:
  --model MODEL      the model to run, a path or an ID of \`ringside models\`; default: the bundled one
  --device NAME      auto, cpu or cuda; default: auto, but cpu where --backend is given
  --gpu-memory MB    what the model may take of a GPU's memory; default: what is free
  --threads N        default: one for each physical core
  --backend NAME     the processor's instructions: auto, reference, avx2, avxvnni,
                     avx512 or neon
  --context N        tokens of context; default: what the editor uses
  --memory MB        what the model may take; default: no limit
  --coverage SHARE   of a token's experts' weight, enough is run; default: 1
  --active SHARE     of the parameters, at most so many run for a token; default: 1
  --json             one JSON object as the last line
${modelsOptions}`;

const bundledModel = join(__dirname, "..", "models", "ringside-small");

export interface Options {
  /** A folder, or a .gguf file. */
  readonly model: string;
  readonly device: Settings["device"];
  readonly gpuMemoryBytes: number;
  readonly load: LoadOptions;
  readonly json: boolean;
}

export interface Arguments {
  readonly command: string | undefined;
  readonly rest: readonly string[];
  readonly options: Options;
  readonly help: boolean;
}

/** Throws BAD_REQUEST for what makes no sense, and MODEL_NOT_FOUND. */
export function readArguments(args: string[]): Arguments {
  const { values, positionals } = parsed(args);
  const [command, ...rest] = positionals;
  const takesModel = (command === "inspect" || command === "test") && rest.length === 1;
  const load: LoadOptions = {
    threads: wholeNumber("--threads", values.threads),
    backend: oneOf("--backend", backends, values.backend ?? "auto"),
    contextTokens: wholeNumber("--context", values.context),
    memoryBytes: wholeNumber("--memory", values.memory) * 1e6,
    expertCoverage: share("--coverage", values.coverage),
    activeShare: share("--active", values.active),
  };
  // Who names the processor's instructions wants to see what they do.
  const usual = values.backend === undefined ? "auto" : "cpu";
  const options = {
    model: modelAt(takesModel ? rest[0] : values.model),
    device: oneOf("--device", devices, values.device ?? usual),
    gpuMemoryBytes: wholeNumber("--gpu-memory", values["gpu-memory"]) * 1e6,
    load,
    json: values.json,
  };
  return { command, rest, options, help: values.help };
}

/** Throws BAD_REQUEST for options that there are none of. */
function parsed(args: string[]) {
  const options = {
    model: { type: "string" },
    device: { type: "string" },
    "gpu-memory": { type: "string", default: "0" },
    threads: { type: "string", default: "0" },
    backend: { type: "string" },
    context: { type: "string", default: String(contextFor(defaultSettings)) },
    memory: { type: "string", default: "0" },
    coverage: { type: "string", default: "1" },
    active: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  } as const;
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new RingsideError("BAD_REQUEST", (error as Error).message, { cause: error });
  }
}

/** The model of `--model`: a path from here, or as the setting "ringside.model" has it. */
function modelAt(given: string | undefined): string {
  const setting = given !== undefined && existsSync(given) ? resolve(given) : (given ?? null);
  const modelsDirectory = modelsDirectoryIn(null);
  return resolveModel(setting, { bundled: bundledModel, modelsDirectory }).path;
}

function wholeNumber(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new RingsideError("BAD_REQUEST", `${name} must be a whole number, not "${text}".`);
}

function share(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new RingsideError("BAD_REQUEST", `${name} must be above 0 and at most 1, not "${text}".`);
}

const backends = ["auto", "reference", "avx2", "avxvnni", "avx512", "neon"] as const;
const devices = ["auto", "cpu", "cuda"] as const;

function oneOf<Name extends string>(option: string, names: readonly Name[], given: string): Name {
  const found = names.find((known) => known === given);
  if (found !== undefined) return found;
  throw new RingsideError(
    "BAD_REQUEST",
    `${option} must be one of ${names.join(", ")}, not "${given}".`,
  );
}
