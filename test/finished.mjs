import { execFile } from "node:child_process";

/** Runs a program while others run: resolves to whether it ended well, and to all that it said. */
export function finished(command, args) {
  return new Promise((resolve) => {
    const limits = { maxBuffer: 1 << 28 };
    const child = execFile(command, args, limits, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: stdout + (stderr || (error?.message ?? "")) }),
    );
    child.stdin?.end();
  });
}
