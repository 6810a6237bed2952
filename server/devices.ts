// Which GPUs there are. A process of its own asks the driver: whatever becomes of it is a report.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Device, type DeviceReport, reportWithoutGpuPart } from "./engine";

export interface Probe extends DeviceReport {
  /** false: the process that asked crashed, hung or made no sense, and `problem` says so. */
  readonly answered: boolean;
}

export interface ProbeOptions {
  /** What the process runs: Node's arguments. */
  readonly args?: readonly string[];
  readonly limitMs?: number;
  /** Ends the process. */
  readonly signal?: AbortSignal | undefined;
}

const LIMIT_MS = 20_000; // CUDA's first answer takes seconds where there are many GPUs
const MAX_OUTPUT = 1 << 18; // characters; a report of 64 GPUs has fewer than 2^14
const MAX_LAST_WORDS = 300; // characters of what the process complains of
const MAX_DEVICES = 64; // more than fit any machine

/** The bundle of probe.ts; among the sources, probe.ts as this process runs its own sources. */
function program(): string[] {
  const bundle = join(__dirname, "probe.js");
  return existsSync(bundle) ? [bundle] : [...process.execArgv, join(__dirname, "probe.ts")];
}

/** Asks anew. Rejects with AbortError once `signal` fires, and for nothing else. */
export function probe({
  args = program(),
  limitMs = LIMIT_MS,
  signal,
}: ProbeOptions = {}): Promise<Probe> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, args, {
      env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" }, // VS Code's own program is no Node without
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
  } catch (error) {
    return Promise.resolve(unanswered(notStarted(error as Error)));
  }
  return answerOf(child, limitMs, signal);
}

/** What `child` reports, or what became of it. Whatever comes of it, it is killed then. */
function answerOf(child: ChildProcess, limitMs: number, signal?: AbortSignal): Promise<Probe> {
  return new Promise((resolve, reject) => {
    let output = "";
    let complaint = "";
    const kill = () => child.kill("SIGKILL");
    const timer = setTimeout(
      () => end(() => resolve(unanswered(`${DRIVER} did not answer within ${limitMs / 1000} s.`))),
      limitMs,
    );
    const onAbort = () => end(() => reject(signal?.reason));
    process.once("exit", kill);
    signal?.addEventListener("abort", onAbort, { once: true });

    /** The process has nothing more to say. One that hangs in the driver may outlive even SIGKILL. */
    function end(settle: () => void): void {
      clearTimeout(timer);
      process.removeListener("exit", kill);
      signal?.removeEventListener("abort", onAbort);
      kill();
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      settle(); // only the first time counts
    }

    child.once("error", (error) => end(() => resolve(unanswered(notStarted(error)))));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-MAX_LAST_WORDS);
    });
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const found = text.includes("\n") ? reportIn(output) : null;
      if (found !== null) end(() => resolve(found));
      else if (output.length > MAX_OUTPUT) end(() => resolve(unanswered(NO_REPORT)));
    });
    child.once("close", (code, by) =>
      end(() => resolve(reportIn(`${output}\n`) ?? unanswered(endOf(code, by, complaint)))),
    );
  });
}

const DRIVER = "The graphics driver";
const NO_REPORT = "The process that asked for GPUs gave no report that makes sense.";
const ADVICE =
  'Update the driver and restart the server, or set "ringside.device" to "cpu" so that it is not asked.';

const notStarted = ({ message }: Error) =>
  `The process that asks for GPUs could not be started: ${message}.`;

function unanswered(what: string): Probe {
  const none = { library: null, runtimeVersion: null, driverVersion: null, devices: [] };
  return { ...none, answered: false, problem: `${what} ${ADVICE}` };
}

function endOf(code: number | null, by: NodeJS.Signals | null, complaint: string): string {
  const [lastWords = ""] = complaint.trim().split("\n").slice(-1);
  const said = lastWords === "" ? "" : ` It said: ${lastWords.trim().replace(/\.?$/, ".")}`;
  if (by !== null) return `${DRIVER} ended the process that asked for GPUs (${by}).${said}`;
  if (code === 0) return NO_REPORT;
  const status = (code ?? 0) > 0xffff ? `0x${code?.toString(16)}` : code; // Windows' exceptions are large
  return `The process that asked for GPUs ended with exit code ${status}.${said}`;
}

/** The report among the whole lines of `output`, or null. */
function reportIn(output: string): Probe | null {
  const lines = output.slice(0, output.lastIndexOf("\n")).split("\n");
  for (const line of lines.filter((each) => each.startsWith("{"))) {
    try {
      const value: unknown = JSON.parse(line);
      if (isReport(value)) return { ...value, answered: true };
    } catch {
      // not the report, but something that the driver printed
    }
  }
  return null;
}

const isText = (value: unknown) => typeof value === "string";
const isTextOrNull = (value: unknown) => value === null || isText(value);
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;

/** Whether `value` has each field of `fields`, of its type. */
function has<Type>(
  value: unknown,
  fields: { readonly [Key in keyof Type]: (value: unknown) => boolean },
): value is Type {
  if (typeof value !== "object" || value === null) return false;
  const given = value as Record<string, unknown>;
  return Object.entries<(value: unknown) => boolean>(fields).every(([key, ok]) => ok(given[key]));
}

function isReport(value: unknown): value is DeviceReport {
  return has<DeviceReport>(value, {
    library: isTextOrNull,
    runtimeVersion: isTextOrNull,
    driverVersion: isTextOrNull,
    devices: (list) => Array.isArray(list) && list.length <= MAX_DEVICES && list.every(isDevice),
    problem: isTextOrNull,
  });
}

function isDevice(value: unknown): value is Device {
  return has<Device>(value, {
    index: isCount,
    name: isText,
    computeCapability: isText,
    totalBytes: isCount,
    freeBytes: isCount,
    problem: isTextOrNull,
  });
}

/** Starts no process where there is no driver to ask: a start of the server is not to wait for nothing. */
async function askIfThereIs(options: ProbeOptions): Promise<Probe> {
  const none = reportWithoutGpuPart();
  return none === null ? probe(options) : { ...none, answered: true };
}

/** Remembers what came of asking: a process is started and a driver woken once, not with each model. */
export class Devices {
  private known: Probe | null = null;

  constructor(private readonly asks: (options: ProbeOptions) => Promise<Probe> = askIfThereIs) {}

  /** Rejects with AbortError once `signal` fires. */
  async report(signal?: AbortSignal): Promise<Probe> {
    this.known ??= await this.asks({ signal });
    return this.known;
  }

  /** Asks anew: what was known did not hold. */
  reportAgain(signal?: AbortSignal): Promise<Probe> {
    this.known = null;
    return this.report(signal);
  }
}
