// The built server in Neovim: node extension/build.mjs && node native/build.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

const server = join(__dirname, "../../dist/server.js");
const script = join(__dirname, "neovim.lua");
const TIMEOUT_MS = 60_000;

interface Report {
  readonly version: string;
  readonly error?: string;
  readonly inserted: string;
  /** The cursor's place as it was sent. */
  readonly character: number;
  readonly lines: readonly string[];
  readonly fileformat: string;
  readonly again: boolean;
}

const missing =
  spawnSync("nvim", ["--version"]).status === 0
    ? false
    : "nvim is not installed (apt-get install neovim)";

/** What Neovim makes of a file of `source`, whose bar is where it asks and inserts. */
function run(source: string): { report: Report; written: string } {
  const folder = mkdtempSync(join(tmpdir(), "ringside-neovim-"));
  try {
    const [file, reportFile] = [join(folder, "a.ts"), join(folder, "report.json")];
    const before = source.slice(0, source.indexOf("|"));
    writeFileSync(file, source.replace("|", ""));
    const { status, stderr } = spawnSync("nvim", ["--headless", "--clean", file, "-S", script], {
      cwd: folder,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      env: {
        ...process.env,
        ...{ HOME: folder, XDG_STATE_HOME: folder, XDG_CACHE_HOME: folder },
        RINGSIDE_NODE: process.execPath,
        RINGSIDE_SERVER: server,
        RINGSIDE_REPORT: reportFile,
        RINGSIDE_LINE: String(before.split("\n").length),
        RINGSIDE_COLUMN: String(Buffer.byteLength(before.slice(before.lastIndexOf("\n") + 1))),
      },
    });
    assert.equal(status, 0, stderr);
    return {
      report: JSON.parse(readFileSync(reportFile, "utf8")),
      written: readFileSync(file, "utf8"),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The proposal must stand at the bar, in the buffer and in the file, and nothing else have changed. */
function check(source: string) {
  const { report, written } = run(source);
  assert.equal(report.error, undefined);
  assert.ok(report.inserted.length > 0);
  const [before = "", behind = ""] = source.split("|");
  const breaks = source.includes("\r\n") ? "\r\n" : "\n";
  assert.equal(written, before + report.inserted.replaceAll("\n", breaks) + behind);
  assert.equal(report.lines.join(breaks) + breaks, written);
  assert.equal(report.fileformat, breaks === "\n" ? "unix" : "dos");
  assert.equal(report.character, before.slice(before.lastIndexOf("\n") + 1).length);
  assert.ok(report.again, "the server does not answer any more");
}

suite("Neovim", { skip: missing }, () => {
  test("inserts what the server proposes", () =>
    check("function add(a: number, b: number) {\n  return |\n}\n"));
  test("inserts behind characters of two UTF-16 units and of several bytes", () =>
    check('const smile = "\u{1F642}é"; function add(a: number, b: number) { return |\n}\n'));
  test("keeps a file's CRLF", () =>
    check("// first\r\nfunction add(a: number, b: number) {\r\n  return |\r\n}\r\n"));
});
