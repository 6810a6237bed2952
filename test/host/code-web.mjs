#!/usr/bin/env node
// Stands in for the VS Code executable: takes --extensionDevelopmentPath=, --extensionTestsPath= and a
// folder, runs the suite in the VS Code server and Chromium, and exits with the suite's code.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { openPage, remote, startBrowser, startServer, workbenchUrl } from "./server.mjs";

const SUITE_MS = 300_000;

function flag(name) {
  const found = argv.find((argument) => argument.startsWith(`--${name}=`));
  if (found === undefined) throw new Error(`--${name}= is missing.`);
  return found.slice(name.length + 3);
}

const extension = flag("extensionDevelopmentPath");
const suite = flag("extensionTestsPath");
const folder = argv.slice(2).find((argument) => !argument.startsWith("--"));

const report = join(mkdtempSync(join(tmpdir(), "ringside-report-")), "report.txt");
process.env.RINGSIDE_REPORT = report; // the extension host's, by way of the server
const server = await startServer();
const browser = await startBrowser();
let code = 1;
try {
  const page = await openPage(browser, server.port);
  const ended = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`The suite took over ${SUITE_MS} ms.`)), SUITE_MS).unref();
    page.exposeFunction("codeAutomationLog", () => {}); // the suite reports to a file
    page.exposeFunction("codeAutomationExit", (exit) => resolve(exit));
  });
  const { port } = server;
  const payload = {
    extensionDevelopmentPath: remote(port, extension),
    extensionTestsPath: remote(port, suite),
  };
  await page.goto(workbenchUrl(port, folder, payload));
  code = await ended;
  const toasts = await page.evaluate(() => window.ringsideToasts);
  // VS Code's own TypeScript extension misses its compiler, which this server does not carry; and what
  // the user asked for by name, a download or a refactoring, shows its progress.
  const ours = toasts.filter((text) => !/tsserver|^Downloading |^Refactoring\b/.test(text));
  if (ours.length > 0) {
    console.error(`A popup was shown:\n${ours.join("\n")}`);
    code = 1;
  }
} catch (error) {
  console.error(error);
} finally {
  if (existsSync(report)) console.log(readFileSync(report, "utf8"));
  rmSync(dirname(report), { recursive: true });
  await browser.close();
  await server.stop();
}
process.exit(code);
