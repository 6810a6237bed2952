import type { ErrorCode } from "./protocol";

const codes: ReadonlySet<string> = new Set<ErrorCode>([
  "MODEL_NOT_FOUND",
  "MODEL_CORRUPT",
  "MODEL_UNSUPPORTED",
  "OUT_OF_MEMORY",
  "DEVICE_LOST",
  "BAD_REQUEST",
  "ENGINE_MISSING",
  "DOWNLOAD_FAILED",
  "DISK_FULL",
]);

/** A failure that the user can act on. Anything else is a bug and keeps its own type and stack. */
export class RingsideError extends Error {
  override readonly name = "RingsideError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** `error` as a coded failure: the engine's own codes are kept, anything else is INTERNAL. */
export function coded(error: unknown): RingsideError {
  if (error instanceof RingsideError) return error;
  const { code } = (error ?? {}) as { code?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  const known = typeof code === "string" && codes.has(code);
  return new RingsideError(known ? (code as ErrorCode) : "INTERNAL", message, { cause: error });
}

/** Whether `error` says that a signal was aborted. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
