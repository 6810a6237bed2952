// The integration suite in the VS Code server and Chromium: npm run test:vscode.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installHost } from "./install.mjs";
import { buildSuite, makeWorkspace, root } from "./suite.mjs";

installHost();
const suite = await buildSuite();
const host = fileURLToPath(new URL("code-web.mjs", import.meta.url));
const { file, remove } = makeWorkspace();
const args = [`--extensionDevelopmentPath=${root}`, `--extensionTestsPath=${suite}`, file];
const { status } = spawnSync(process.execPath, [host, ...args], { stdio: "inherit" });
remove();
process.exit(status ?? 1);
