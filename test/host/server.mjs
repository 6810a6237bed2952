// A running VS Code server with its own data folder, and a Chromium that opens it.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { vscode } from "./install.mjs";
import { traced } from "./sockets.mjs";

/** Nothing that asks, greets or completes besides us. */
const userSettings = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.enableExperiments": false,
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoCheckUpdates": false,
  "git.enabled": false,
  "editor.wordBasedSuggestions": "off",
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.suggestOnTriggerCharacters": false,
  "editor.parameterHints.enabled": false,
  "editor.acceptSuggestionOnEnter": "off",
  "editor.inlineSuggest.enabled": true,
  "typescript.tsserver.enabled": false,
  "chat.commandCenter.enabled": false,
  "files.autoSave": "off",
  "editor.minimap.enabled": false,
  "ringside.eagerness": "always", // the tests are of the editor, and its model is unsure of most
};

const START_MS = 60_000;

/**
 * Starts a VS Code server on a free port of 127.0.0.1, with the packaged extension `vsix` if given.
 * With `sockets`, a file, the addresses that it and its children talk to are recorded there.
 * Returns { port, dataFolder, stop() }. Throws with its output if it does not start.
 */
export async function startServer({ settings = {}, port = 0, vsix, sockets } = {}) {
  const dataFolder = mkdtempSync(join(tmpdir(), "ringside-host-"));
  mkdirSync(join(dataFolder, "data", "User"), { recursive: true });
  mkdirSync(join(dataFolder, "extensions"), { recursive: true });
  const all = JSON.stringify({ ...userSettings, ...settings }, null, 2);
  writeFileSync(join(dataFolder, "data", "User", "settings.json"), all);
  const folders = [
    ...["--server-data-dir", dataFolder, "--extensions-dir", join(dataFolder, "extensions")],
  ];
  const main = join(vscode, "out", "server-main.js");
  const args = [
    ...[main, "--accept-server-license-terms", ...folders],
    ...["--host", "127.0.0.1", "--port", String(port), "--without-connection-token"],
    ...["--disable-telemetry", "--disable-workspace-trust", "--enable-proposed-api"],
    ...["--enable-smoke-test-driver", "--log", "info"],
  ];
  const env = {
    ...process.env,
    EXTENSIONS_GALLERY: '{"serviceUrl":""}',
    XDG_RUNTIME_DIR: dataFolder,
  };
  if (vsix !== undefined) {
    const install = [main, ...folders, "--install-extension", vsix];
    execFileSync(process.execPath, install, { env, stdio: "ignore" });
  }
  const plain = [process.execPath, ...args];
  const [command, ...rest] = sockets === undefined ? plain : traced(plain, sockets);
  // A group of its own, because strace alone would end without those whom it looks at.
  const child = spawn(command, rest, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      process.kill(-child.pid);
      await ended;
    }
    rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
  };
  return { port: await portOf(child), dataFolder, stop };
}

function portOf(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (why) => reject(new Error(`The VS Code server ${why}:\n${output}`));
    const timer = setTimeout(() => fail(`was not up in ${START_MS} ms`), START_MS);
    const hear = (chunk) => {
      output = (output + chunk).slice(-20_000);
      const match = /agent listening on (\d+)/.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      resolve(Number(match[1]));
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}

const browsers = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** A Chromium without a window. Throws, saying what to install, where there is none. */
export async function startBrowser() {
  const executablePath = browsers.find((path) => path !== undefined && existsSync(path));
  if (executablePath === undefined) {
    throw new Error("No Chromium found. Install it (Debian: chromium), or name one in CHROMIUM.");
  }
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  return chromium.launch({ executablePath, args });
}

/** The workbench's address for `folder`, or for a workspace by its file, with `payload` entries as the desktop's flags. */
export function workbenchUrl(port, folder, payload = {}) {
  const entries = Object.entries({ skipWelcome: "true", enableProposedApi: "", ...payload });
  const url = new URL(`http://127.0.0.1:${port}/`);
  url.searchParams.set(folder.endsWith(".code-workspace") ? "workspace" : "folder", folder);
  url.searchParams.set("payload", JSON.stringify(entries));
  return url.href;
}

/** `path` as the extension host behind the server on `port` sees it. */
export function remote(port, path) {
  return `vscode-remote://127.0.0.1:${port}${path}`;
}

/**
 * A page that can reach nothing but the server, and that notes every notification shown:
 * `await page.evaluate(() => window.ringsideToasts)`.
 */
export async function openPage(browser, port) {
  const page = await browser.newPage({ viewport: { width: 1100, height: 720 } });
  const origin = `http://127.0.0.1:${port}`;
  await page.route(
    (url) => url.origin !== origin && !url.protocol.startsWith("ws"),
    (route) => route.abort(),
  );
  await page.addInitScript(() => {
    window.ringsideToasts = [];
    const look = () => {
      for (const toast of document.querySelectorAll(".notification-toast")) {
        const message = toast.querySelector(".notification-list-item-message");
        const text = message?.textContent ?? "";
        if (text !== "" && !window.ringsideToasts.includes(text)) window.ringsideToasts.push(text);
      }
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true });
  });
  return page;
}
