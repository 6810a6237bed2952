// npm start: sets everything up, shows one completion with its timing, opens VS Code with the extension.
// `npm start -- --check` does the same in a browser that no one sees, and ends by itself.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const sample = join(root, "test", "fixtures", "workspace");
const check = process.argv.includes("--check");
const port = Number(process.env.RINGSIDE_PORT ?? 8765);

setUp();
console.log("\nOne completion, at the end of line 13 of a sample file (in brackets):\n");
complete("stats.py:13:12");
const folder = join(mkdtempSync(join(tmpdir(), "ringside-")), "shop");
mkdirSync(folder);
cpSync(sample, folder, { recursive: true });
if (!check && desktopHere()) openDesktop();
else await openBrowserVersion();

function complete(place) {
  const cli = join(root, "dist", "cli.js");
  const { status } = spawnSync(process.execPath, [cli, "complete", join(sample, place)], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
}

function desktopHere() {
  const hasDisplay = process.platform !== "linux" || Boolean(process.env.DISPLAY);
  const shell = process.platform === "win32";
  return hasDisplay && spawnSync("code", ["--version"], { shell }).status === 0;
}

function openDesktop() {
  const args = [`--extensionDevelopmentPath=${root}`, "--new-window", folder];
  spawn("code", args, { stdio: "inherit", shell: process.platform === "win32" });
  console.log(`\nVS Code opens ${folder}. Type in cart.ts or stats.py.`);
}

/** The VS Code server that the tests run in, with the extension, for a browser on this machine. */
async function openBrowserVersion() {
  const { installHost } = await import("./install.mjs");
  installHost();
  const { remote, startServer, workbenchUrl } = await import("./server.mjs");
  const server = await startServer({ port: check ? 0 : port });
  const payload = { extensionDevelopmentPath: remote(server.port, root) };
  const url = workbenchUrl(server.port, folder, payload);
  const end = async (code) => {
    await server.stop();
    rmSync(dirname(folder), { recursive: true, force: true });
    process.exit(code);
  };
  if (check) await end(await statusAppears(server.port, url));
  console.log(`\nVS Code with Ringside, until Ctrl+C: ${url}\nType in cart.ts or stats.py.`);
  process.on("SIGINT", () => void end(0));
  process.on("SIGTERM", () => void end(0));
}

async function statusAppears(serverPort, url) {
  const { openPage, startBrowser } = await import("./server.mjs");
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, serverPort);
    await page.goto(url);
    await page.locator(".monaco-list-row", { hasText: "cart.ts" }).dblclick({ timeout: 60_000 });
    const item = page.locator(".statusbar-item", { hasText: /^\s*Ringside\s*$/ });
    await item.waitFor({ timeout: 60_000 });
    console.log("\nVS Code opened the sample, and Ringside is ready in it.");
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  } finally {
    await browser.close();
  }
}
