#!/usr/bin/env node
// Stands in for the VS Code executable: takes --extensionDevelopmentPath=, --extensionTestsPath= and a
// folder or a workspace's file, runs the suite in the VS Code server and Chromium, and exits with the suite's code.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { addressesOf, canTrace } from "./sockets.mjs";
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

/** Whether nothing but this machine was talked to; says so, and what else was. */
function onlyLocal({ local, remote }) {
  const sees = local.length > 0 || process.env.RINGSIDE_GREP !== undefined; // one test may need none
  if (!sees) console.error("No socket was seen, not even the tests' own.");
  for (const address of remote) console.error(`A socket went elsewhere: ${address}`);
  console.log(`${local.length} addresses were talked to, ${remote.length} of other machines.`);
  return sees && remote.length === 0;
}

const report = join(mkdtempSync(join(tmpdir(), "ringside-report-")), "report.txt");
process.env.RINGSIDE_REPORT = report; // the extension host's, by way of the server
const sockets = join(dirname(report), "sockets.txt");
const server = await startServer(canTrace ? { sockets } : {});
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
  // the user asked for, a model, a download or a refactoring, shows its progress.
  const ours = toasts.filter(
    (text) => !/tsserver|^Downloading |^Refactoring\b|^Ringside: loading and trying/.test(text),
  );
  if (ours.length > 0) {
    console.error(`A popup was shown:\n${ours.join("\n")}`);
    code = 1;
  }
} catch (error) {
  console.error(error);
} finally {
  await browser.close();
  await server.stop();
  if (canTrace && !onlyLocal(addressesOf(sockets))) code = 1;
  if (existsSync(report)) console.log(readFileSync(report, "utf8"));
  rmSync(dirname(report), { recursive: true });
}
process.exit(code);
