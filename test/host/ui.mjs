// The editor as eyes and hands have it: real keys, the ghost text that is painted, no popup.
//
//   node test/host/ui.mjs [--picture FILE] [--pictures FOLDER] [--vsix FILE]    npm run test:ui
//
// --picture: of the ghost text, for the README; --pictures: of each page that is opened.
// --vsix: the packaged extension, installed as a user installs it, instead of the sources.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import axe from "axe-core";
import { installHost } from "./install.mjs";
import { openPage, remote, startBrowser, startServer, workbenchUrl } from "./server.mjs";
import { root, workspace } from "./suite.mjs";

const SHOWN_MS = 30_000;
const ghost = ".ghost-text-decoration, .suggest-preview-text .view-line, .ghost-text";

const { values } = parseArgs({
  options: {
    picture: { type: "string" },
    pictures: { type: "string" },
    vsix: { type: "string" },
  },
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
let passed = 0;

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

async function until(isSo) {
  const end = Date.now() + SHOWN_MS;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`Waited ${SHOWN_MS} ms: ${isSo}`);
    await page.waitForTimeout(100);
  }
}

/**
 * Runs a command of the palette by its title. Again if the palette goes before it is used: a page that is
 * just being opened takes the focus when it is there.
 */
async function run(title) {
  const timeout = 5000;
  for (let tries = 1; ; tries++) {
    try {
      await page.keyboard.press("F1");
      await page.locator(".quick-input-widget input[type=text]").fill(`>${title}`, { timeout });
      const rows = page.locator(".quick-input-list .monaco-list-row", { hasText: title });
      await rows.first().click({ timeout });
      return;
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}

/** With --pictures: what is seen now. */
async function picture(name) {
  if (values.pictures === undefined) return;
  await page.waitForTimeout(500); // for what fades in
  await page.screenshot({ path: join(values.pictures, `${name}.png`) });
}

/** The innermost frame of the webview whose text matches. */
async function webview(pattern) {
  const end = Date.now() + SHOWN_MS;
  while (Date.now() < end) {
    for (const frame of page.frames()) {
      const body = await frame
        .locator("body")
        .textContent({ timeout: 500 })
        .catch(() => "");
      if (frame !== page.mainFrame() && pattern.test(body)) return frame;
    }
    await page.waitForTimeout(200);
  }
  throw new Error(`No page says ${pattern}.`);
}

/** What axe says of a frame: of its page by itself, because scripts are not allowed in it. */
async function axeOf(frame) {
  // Not frame.content(): VS Code writes the page anew, and that would be of the one before.
  const html = await frame.locator("html").evaluate((page) => page.outerHTML);
  const alone = await browser.newPage();
  try {
    await alone.setContent(html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ""));
    await alone.addScriptTag({ content: axe.source });
    return await alone.evaluate(() =>
      window.axe.run(document, { resultTypes: ["violations", "passes"] }),
    );
  } finally {
    await alone.close();
  }
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
    passed++;
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

  await check("Tab goes on within a snippet, whatever is proposed", async () => {
    await openFile("cart.ts");
    await goTo(26, 7);
    await run("Snippets: Insert Snippet");
    await page.locator(".quick-input-widget input[type=text]").fill("If Statement");
    await page.keyboard.press("Enter");
    await page.keyboard.type("item", { delay: 60 });
    const before = await text();
    await ghostText();
    await page.keyboard.press("Tab");
    await page.waitForTimeout(500);
    assert.equal(await text(), before);
    await page.keyboard.press("Escape");
    await run("Undo");
  });

  await check(
    "a block is written anew beside the code, taken by one key and undone by one",
    async () => {
      await openFile("cart.ts");
      await goTo(17, 5);
      const saved = async () => {
        await page.keyboard.press("Control+S");
        await page.locator(".tab.active.dirty").waitFor({ state: "detached" });
        return readFileSync(join(folder, "cart.ts"), "utf8");
      };
      const before = await saved();
      await run("Ringside: Rewrite This Block");
      const diff = page.locator(".monaco-diff-editor");
      await diff.waitFor();
      await page.locator(".statusbar-item", { hasText: /change/ }).waitFor();
      await picture("refactor");
      await page.keyboard.press("Control+Enter");
      await diff.waitFor({ state: "detached" });
      await until(async () => (await saved()) !== before);
      await page.keyboard.press("Control+Z");
      await until(async () => (await saved()) === before);
    },
  );

  await check("the menu behind the status item says what can be done", async () => {
    await page.locator(".statusbar-item", { hasText: "Ringside" }).click();
    const rows = page.locator(".quick-input-list .monaco-list-row");
    await rows.first().waitFor();
    const labels = (await rows.allTextContents()).join("\n");
    for (const each of [/off/, /Choose a model/, /Why this/, /Statistics/, /log/, /Restart/]) {
      assert.match(labels, each);
    }
    await picture("menu");
    await page.keyboard.press("Escape");
  });

  await check("the picker offers models by what was measured here", async () => {
    await run("Ringside: Choose a Model...");
    const rows = page.locator(".quick-input-list .monaco-list-row");
    await rows.first().waitFor();
    const labels = (await rows.allTextContents()).join("\n");
    for (const each of [
      /Ringside small/,
      /A folder\.\.\./,
      /Qwen2\.5-Coder/,
      /a completion here/,
    ]) {
      assert.match(labels, each);
    }
    await picture("models");
    await page.keyboard.press("Escape");
  });

  await check("the reasons of a suggestion can be read", async () => {
    await openFile("cart.ts");
    await run("Ringside: Why This Suggestion?");
    const frame = await webview(/What the model was shown/);
    assert.match(await frame.locator("body").textContent(), /Probability/);
    await picture("why");
    await run("View: Close Editor");
  });

  await check("the statistics page has nothing that axe complains of", async () => {
    await run("Ringside: Show Statistics");
    const frame = await webview(/Ringside statistics/);
    await picture("statistics");
    const { violations, passes } = await axeOf(frame);
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`),
      [],
    );
    assert.ok(passes.length > 10, "axe looked at too little");
    await run("View: Close Editor");
  });

  await check("the walkthrough is there", async () => {
    await run("Welcome: Open Walkthrough...");
    await page.locator(".quick-input-widget input[type=text]").fill("Ringside");
    await page
      .locator(".quick-input-list .monaco-list-row", { hasText: "Ringside" })
      .first()
      .click();
    await page.locator(".getting-started-step", { hasText: "Choose the model" }).waitFor();
    await picture("walkthrough");
    await run("View: Close Editor");
  });

  await check("no popup was shown", async () => {
    const toasts = await page.evaluate(() => window.ringsideToasts);
    assert.deepEqual(
      toasts.filter((toast) => !/tsserver|^Refactoring\b/.test(toast)), // that was asked for
      [],
    );
  });
} finally {
  if (failed > 0) await page.screenshot({ path: join(tmpdir(), "ringside-ui-failed.png") });
  await browser.close();
  await server.stop();
  rmSync(join(folder, ".."), { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
