// The integration suite in the VS Code server and Chromium: npm run test:vscode.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { buildSuite, root, workspace } from "./suite.mjs";
import { installHost } from "./install.mjs";

installHost();
const suite = await buildSuite();
const host = fileURLToPath(new URL("code-web.mjs", import.meta.url));
const args = [`--extensionDevelopmentPath=${root}`, `--extensionTestsPath=${suite}`, workspace];
const { status } = spawnSync(process.execPath, [host, ...args], { stdio: "inherit" });
process.exit(status ?? 1);
