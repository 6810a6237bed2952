// The same suite in the desktop VS Code, which @vscode/test-electron downloads: npm run test:electron.
// Where there is no display: xvfb-run -a npm run test:electron.

import { runTests } from "@vscode/test-electron";
import { buildSuite, makeWorkspace, root } from "./suite.mjs";

const { file, remove } = makeWorkspace();
let code = 0;
try {
  await runTests({
    extensionDevelopmentPath: root,
    extensionTestsPath: await buildSuite(),
    launchArgs: [file, "--disable-extensions", "--disable-workspace-trust"],
  });
} catch (error) {
  console.error(error);
  code = 1;
} finally {
  remove();
}
process.exit(code);
