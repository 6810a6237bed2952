// Programs of Linux on ARM, under qemu-aarch64.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]; // with the cross compiler's libraries

/** A processor of the first ARM generation that has 64 bits, as in a Raspberry Pi 3 or 4, and a folder for files. */
export class Qemu {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "ringside-arm-"));
    this.env = { ...process.env, QEMU_CPU: "cortex-a72" };
    for (const name of Object.keys(this.env)) {
      if (/^(npm_|NODE_)/.test(name)) delete this.env[name]; // they name this system's files
    }
  }

  /** Resolves to `{ ok, output }` once `program` has ended, or was ended because it took too long. */
  run(program, args, { cwd = this.folder, env = {}, seconds = 1800 } = {}) {
    const [qemu, ...first] = command;
    const child = spawn(qemu, [...first, program, ...args], {
      cwd,
      env: { ...this.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
      timeout: seconds * 1000,
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    return new Promise((resolve, reject) => {
      child.on("close", (status) => resolve({ ok: status === 0, output }));
      child.on("error", (cause) =>
        reject(new Error(`${qemu} does not start: is qemu-user installed?`, { cause })),
      );
    });
  }

  /** A script that starts `program`: what a program of ARM can start, where the kernel knows of no emulator. */
  starter(name, program) {
    const path = join(this.folder, name);
    writeFileSync(path, `#!/bin/sh\nexec ${command.join(" ")} '${program}' "$@"\n`, {
      mode: 0o755,
    });
    return path;
  }

  close() {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
