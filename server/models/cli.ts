// `ringside models`, `pull` and `remove`: what there is, bringing it here, and deleting it.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { isAbort, RingsideError } from "../errors";
import { defaultSettings } from "../settings";
import { type Choice, choices, choose, idOf } from "./catalogue";
import { describe, shortId } from "./list";
import { bytesText } from "../units";
import { type Progress, progressParts, shareOf } from "./progress";
import { removeModel } from "./remove";
import { modelsDirectoryIn } from "./source";

export const modelsUsage = `  ringside models                      the models that Ringside knows, and which are here
  ringside pull ID                     downloads one of them; again after a stop, it goes on from there
  ringside remove ID                   deletes one that was downloaded`;

export const modelsOptions = `  --models-directory DIR   where models are kept; default: the platform's place for data
  --to DIR           pull: put the files into this very folder
  --mirror URL       pull: download from here, default https://huggingface.co`;

/** Where the commands write: lines that are the result, and lines about how it goes. */
export interface Terminal {
  out(line: string): void;
  err(text: string): void;
  /** Whether `err` goes to a terminal, on which a line can be written again. */
  readonly live: boolean;
}

export const processTerminal: Terminal = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (text) => process.stderr.write(text),
  live: process.stderr.isTTY === true,
};

/** Runs "models", "pull" or "remove" with its arguments; returns the exit code. */
export async function runModels(
  [command, ...args]: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const { values, positionals } = parsed(args);
  const given = values["models-directory"];
  const modelsDirectory = modelsDirectoryIn(given === undefined ? null : resolve(given));
  if (command === "models" && positionals.length === 0) {
    list(modelsDirectory, values.json, terminal);
    return 0;
  }
  if (command === "remove" && positionals.length === 1) {
    const bytes = await removeModel(choose(positionals[0]!), modelsDirectory);
    terminal.err(`${bytesText(bytes)} are free now.\n`);
    return 0;
  }
  if (command !== "pull" || positionals.length !== 1) {
    throw new RingsideError("BAD_REQUEST", `Usage:\n${modelsUsage}\n\n${modelsOptions}`);
  }
  const folder = values.to === undefined ? null : resolve(values.to);
  const base = values.mirror ?? defaultSettings.mirror;
  const from = { modelsDirectory, folder, ...(base !== null && { base }) };
  return await bring(choose(positionals[0]!), from, terminal, signal);
}

function parsed(args: string[]) {
  const options = {
    json: { type: "boolean", default: false },
    to: { type: "string" },
    mirror: { type: "string" },
    "models-directory": { type: "string" },
  } as const;
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new RingsideError("BAD_REQUEST", (error as Error).message, { cause: error });
  }
}

function list(modelsDirectory: string, json: boolean, terminal: Terminal): void {
  const models = choices().map((choice) => describe(choice, modelsDirectory));
  if (json) {
    terminal.out(JSON.stringify(models));
    return;
  }
  const head = ["ID", "NAME", "SIZE", "MEMORY", "LICENCE", "HUMANEVAL", "TAKES", "HERE"];
  const rows = models.map((model) => [
    model.id,
    model.quantization === null ? model.name : `${model.name} (${model.quantization})`,
    model.bytes === null ? "-" : `${model.sizeIsExact ? "" : "~"}${bytesText(model.bytes)}`,
    model.bytes === null ? "-" : `~${bytesText(model.memoryBytes)}`,
    model.licence,
    model.humanEval?.passAt1.toFixed(1) ?? "-",
    { fim: "code", chat: "chat", both: "code, chat" }[model.prompts],
    model.downloaded ? "yes" : "",
  ]);
  const table = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table) {
    terminal.out(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    );
  }
  terminal.out("");
  terminal.out(`Models are kept in ${modelsDirectory}. "code": trained to fill in at the cursor.`);
  terminal.out("HumanEval: published pass@1 before quantization, in %. Memory: with the context.");
}

async function bring(
  choice: Choice,
  from: { modelsDirectory: string; folder: string | null; base?: string },
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const { model, variant } = choice;
  if (model.prompts === "chat" && model.note !== null)
    terminal.err(`${model.name}: ${model.note}\n`);
  const onProgress = progressTo(terminal);
  try {
    const { pull } = await import("./pull.js"); // only who downloads loads what it takes
    const { path, files } = await pull(choice, { ...from, signal, onProgress });
    clear(terminal);
    const came = files.filter(({ sha256 }) => sha256 !== null);
    const unknown = came.filter(({ verified }) => !verified);
    if (came.length === 0) terminal.err(`${model.name} is here already.\n`);
    for (const { path: file, sha256 } of unknown) {
      terminal.err(`Nobody says what ${file} should be; its SHA-256 is ${sha256}.\n`);
    }
    if (variant !== null)
      terminal.err(`Set "ringside.model" to "${from.folder ? path : idOf(choice)}".\n`);
    terminal.out(path);
    return 0;
  } catch (error) {
    clear(terminal);
    if (!isAbort(error)) throw error;
    terminal.err(
      `Stopped. What came is kept: \`ringside pull ${shortId(choice)}\` goes on from there.\n`,
    );
    return 130; // as a shell has it for Ctrl+C
  }
}

const clear = (terminal: Terminal) => terminal.live && terminal.err("\r\x1b[K");

/** One line, written again and again, on a terminal; else a line for each tenth of the way. */
function progressTo(terminal: Terminal): (progress: Progress) => void {
  let tenths = -1;
  return (progress) => {
    const line = progressLine(progress);
    if (terminal.live) {
      terminal.err(`\r\x1b[K${line}`);
      return;
    }
    const { bytes, total } = progress;
    const now = total === null ? Math.floor(bytes / 1e9) : Math.floor((bytes / total) * 10);
    if (now !== tenths) terminal.err(`${line}\n`);
    tenths = now;
  };
}

export function progressLine(progress: Progress): string {
  const share = shareOf(progress);
  const percent = share === null || progress.phase === "checking" ? [] : [percentDone(share)];
  return [...percent, ...progressParts(progress), progress.file].join("  ");
}

const percentDone = (share: number) => `${Math.floor(share * 100)} %`;
