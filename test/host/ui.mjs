// The editor as eyes and hands have it: real keys, the ghost text that is painted, no popup.
//
//   node test/host/ui.mjs [--picture FILE] [--vsix FILE]    npm run test:ui
//
// --vsix: the packaged extension, installed as a user installs it, instead of the sources.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installHost } from "./install.mjs";
import { openPage, remote, startBrowser, startServer, workbenchUrl } from "./server.mjs";
import { root, workspace } from "./suite.mjs";

const SHOWN_MS = 30_000;
const ghost = ".ghost-text-decoration, .suggest-preview-text .view-line, .ghost-text";

const { values } = parseArgs({
  options: { picture: { type: "string" }, vsix: { type: "string" } },
});
installHost();
const folder = join(mkdtempSync(join(tmpdir(), "ringside-ui-")), "shop");
cpSync(workspace, folder, { recursive: true });
const server = await startServer({
  settings: { "workbench.colorTheme": "Default Dark Modern" },
  vsix: values.vsix,
});
const browser = await startBrowser();
const page = await openPage(browser, server.port);
let failed = 0;

/** The text of the open editor, blanks as blanks. */
async function text() {
  const lines = await page.locator(".editor-instance .view-line").allTextContents();
  return lines.join("\n").replace(/\u00a0/g, " ");
}

async function openFile(name) {
  await page.locator(".explorer-folders-view .monaco-list-row", { hasText: name }).dblclick();
  await page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
  await page.locator(".editor-instance .view-line").first().waitFor();
}

/** VS Code's own TypeScript extension complains of a compiler that this server does not carry. */
async function clearNotifications() {
  await page.keyboard.press("F1");
  await page.locator(".quick-input-widget input[type=text]").fill(">Notifications: Clear All");
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: "Clear All Notif" });
  await row.first().click();
}

async function goTo(line, column) {
  await page.keyboard.press("Control+G");
  await page.locator(".quick-input-widget input[type=text]").fill(`:${line}:${column}`);
  await page.keyboard.press("Enter");
  await page.locator(".quick-input-widget").waitFor({ state: "hidden" });
}

async function ghostText() {
  await page.locator(ghost).first().waitFor({ timeout: SHOWN_MS });
  const parts = await page.locator(ghost).allTextContents();
  return parts.join("\n").replace(/\u00a0/g, " ");
}

async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${name}\n  ${error.stack}`);
  }
}

try {
  const path = remote(server.port, root);
  const payload = values.vsix === undefined ? { extensionDevelopmentPath: path } : {};
  await page.goto(workbenchUrl(server.port, folder, payload));
  await page.locator(".statusbar-item", { hasText: "Ringside" }).waitFor({ timeout: 60_000 });
  await openFile("cart.ts");

  await page.waitForTimeout(3000); // for that complaint to come
  if (await page.locator(".notification-toast").count()) await clearNotifications();

  await check("ghost text is painted while typing, and Tab takes it", async () => {
    await goTo(26, 7);
    await page.keyboard.type("count += ", { delay: 60 });
    const shown = await ghostText();
    assert.notEqual(shown.trim(), "");
    if (values.picture !== undefined) await page.screenshot({ path: values.picture });
    await page.keyboard.press("Tab");
    await page.locator(ghost).first().waitFor({ state: "detached" });
    assert.ok((await text()).includes(`count += ${shown.split("\n")[0].trimEnd()}`));
  });

  await check("Escape takes ghost text away", async () => {
    await openFile("stats.py");
    await goTo(13, 12);
    await page.keyboard.type("math", { delay: 60 });
    await ghostText();
    await page.keyboard.press("Escape");
    await page.locator(ghost).first().waitFor({ state: "detached" });
    await page.waitForTimeout(1000);
    assert.equal(await page.locator(ghost).count(), 0);
  });

  await check("no popup was shown", async () => {
    const toasts = await page.evaluate(() => window.ringsideToasts);
    assert.deepEqual(
      toasts.filter((toast) => !/tsserver/.test(toast)),
      [],
    );
  });
} finally {
  if (failed > 0) await page.screenshot({ path: join(tmpdir(), "ringside-ui-failed.png") });
  await browser.close();
  await server.stop();
  rmSync(join(folder, ".."), { recursive: true, force: true });
}
console.log(`${3 - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
