// The same suite in the desktop VS Code, which @vscode/test-electron downloads: npm run test:electron.
// Where there is no display: xvfb-run -a npm run test:electron.

import { runTests } from "@vscode/test-electron";
import { buildSuite, root, workspace } from "./suite.mjs";

try {
  await runTests({
    extensionDevelopmentPath: root,
    extensionTestsPath: await buildSuite(),
    launchArgs: [workspace, "--disable-extensions", "--disable-workspace-trust"],
  });
} catch (error) {
  console.error(error);
  process.exit(1);
}
