// The integration suite in the VS Code server and Chromium: npm run test:vscode.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installHost } from "./install.mjs";
import { buildSuite, root, workspace } from "./suite.mjs";

installHost();
const suite = await buildSuite();
const host = fileURLToPath(new URL("code-web.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ringside-workspace-"));
cpSync(workspace, folder, { recursive: true }); // which gets settings of its own
const args = [`--extensionDevelopmentPath=${root}`, `--extensionTestsPath=${suite}`, folder];
const { status } = spawnSync(process.execPath, [host, ...args], { stdio: "inherit" });
rmSync(folder, { recursive: true });
process.exit(status ?? 1);
