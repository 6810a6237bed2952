// The built server in Neovim, set up as docs/editors.md says for its older versions.
// node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { suite, test } from "node:test";

const root = join(__dirname, "../..");
const TIMEOUT_MS = 60_000;

interface Report {
  readonly error?: string;
  /** The buffer after the first completion, and after an undo and the next one. */
  readonly first: readonly string[];
  readonly lines: readonly string[];
  readonly fileformat: string;
  /** Line from 1, bytes from 0. */
  readonly cursor: readonly [number, number];
}

const found = spawnSync("nvim", ["--version"]).status === 0;
const missing = found ? false : "nvim is not installed: apt-get install neovim";

/** The lines of Lua below a title of docs/editors.md. */
function documented(title: string): string {
  const text = readFileSync(join(root, "docs/editors.md"), "utf8");
  const section = text.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  return /```lua\n([\s\S]*?)```/.exec(section ?? "")![1]!;
}

/** What Neovim makes of a file of `source`, whose bar is where it asks and inserts. */
function run(source: string): { report: Report; written: string } {
  const folder = mkdtempSync(join(tmpdir(), "ringside-neovim-"));
  const at = (name: string) => join(folder, name);
  try {
    writeFileSync(at("init.lua"), documented("Neovim 0.7 to 0.11"));
    const start = `exec "${process.execPath}" "${join(root, "dist/server.js")}" "$@"`;
    writeFileSync(at("ringside-server"), `#!/bin/sh\n${start}\n`, { mode: 0o755 });
    writeFileSync(at("a.ts"), source.replace("|", ""));
    const before = source.slice(0, source.indexOf("|"));
    const scripts = ["-S", at("init.lua"), "-S", join(__dirname, "neovim.lua")];
    const { status, stderr } = spawnSync(
      "nvim",
      ["--headless", "--clean", at("a.ts"), ...scripts],
      {
        cwd: folder,
        encoding: "utf8",
        timeout: TIMEOUT_MS,
        env: {
          ...process.env,
          ...{ HOME: folder, XDG_STATE_HOME: folder, XDG_CACHE_HOME: folder },
          PATH: `${folder}${delimiter}${process.env.PATH}`,
          RINGSIDE_REPORT: at("report.json"),
          RINGSIDE_LINE: String(before.split("\n").length),
          RINGSIDE_COLUMN: String(Buffer.byteLength(before.slice(before.lastIndexOf("\n") + 1))),
        },
      },
    );
    assert.equal(status, 0, stderr);
    const report = JSON.parse(readFileSync(at("report.json"), "utf8"));
    return { report, written: readFileSync(at("a.ts"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Something must stand at the bar, in the buffer and in the file, and nothing else have changed. */
function check(source: string) {
  const { report, written } = run(source);
  assert.equal(report.error, undefined);
  const [before = "", behind = ""] = source.split("|");
  const breaks = source.includes("\r\n") ? "\r\n" : "\n";
  assert.equal(report.fileformat, breaks === "\n" ? "unix" : "dos");
  assert.equal(report.lines.join(breaks) + breaks, written);
  assert.deepEqual(report.lines, report.first);
  assert.ok(written.startsWith(before) && written.endsWith(behind), written);
  const inserted = written.slice(before.length, written.length - behind.length);
  assert.ok(inserted.length > 0);
  const lines = (before + inserted).split(breaks); // up to where the cursor stands
  assert.deepEqual(report.cursor, [lines.length, Buffer.byteLength(lines.at(-1)!)]);
}

suite("Neovim", { skip: missing }, () => {
  test("inserts what the server proposes", () =>
    check("function add(a: number, b: number) {\n  return |\n}\n"));
  test("inserts behind characters of two UTF-16 units and of several bytes", () =>
    check('const smile = "\u{1F642}é"; function add(a: number, b: number) { return |\n}\n'));
  test("keeps a file's CRLF", () =>
    check("// first\r\nfunction add(a: number, b: number) {\r\n  return |\r\n}\r\n"));
});
