// Programs of Windows, under Wine, in a prefix that is made anew and removed at the end.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A Windows with a drive C: and nothing on it. */
export class Wine {
  runs = 0;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "ringside-wine-"));
    this.drive = join(this.folder, "prefix", "drive_c");
    this.env = {
      ...process.env,
      WINEPREFIX: join(this.folder, "prefix"),
      WINEDEBUG: "-all",
      WINEDLLOVERRIDES: "mscoree,mshtml=", // which it would offer to download
      LC_ALL: "C.UTF-8", // or else a file's name has ASCII letters only
      DISPLAY: "",
    };
    for (const name of Object.keys(this.env)) {
      if (/^(npm_|NODE_)/.test(name)) delete this.env[name]; // they name this system's files
    }
    this.start("wineboot", ["-i"]);
    // As Windows 10, to Wine 8, Node would connect to 127.0.0.1 in a way that is not there.
    const version = ["HKCU\\Software\\Wine", "/v", "Version", "/d", "win81", "/f"];
    this.start("wine", ["reg", "add", ...version]);
  }

  /**
   * Resolves to `{ ok, output }` once `program` has ended, or was ended because it took too long. Its output
   * goes through a file: Node takes no pipe of another system's.
   */
  run(program, args, { cwd = this.drive, env = {}, seconds = 300 } = {}) {
    const path = join(this.folder, `output-${this.runs++}`);
    const file = openSync(path, "w");
    const child = spawn("wine", [program, ...args], {
      cwd,
      env: { ...this.env, ...env },
      stdio: ["ignore", file, file],
      timeout: seconds * 1000,
    });
    closeSync(file); // the child has its own
    return new Promise((resolve, reject) => {
      child.on("close", (status) =>
        resolve({ ok: status === 0, output: readFileSync(path, "utf8") }),
      );
      child.on("error", (cause) =>
        reject(new Error("wine does not start: is it installed?", { cause })),
      );
    });
  }

  start(command, args) {
    const { status } = spawnSync(command, args, {
      env: this.env,
      stdio: "ignore",
      timeout: 120_000,
    });
    if (status !== 0)
      throw new Error(`${command} ${args.join(" ")} did not work: is Wine installed?`);
  }

  close() {
    spawnSync("wineserver", ["-k"], { env: this.env, timeout: 20_000 });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
