// What VS Code runs: the suite's mocha, started by extensionTestsPath.

import { appendFileSync } from "node:fs";
import Mocha from "mocha";

/** A file to report to: what an extension host prints gets lost among VS Code's own output. */
const report = process.env.RINGSIDE_REPORT;

function tell(line: string): void {
  if (report === undefined) console.log(line);
  else appendFileSync(report, `${line}\n`);
}

/** Runs every test; rejects when one failed, which VS Code turns into its exit code. */
export async function run(): Promise<void> {
  const grep = process.env.RINGSIDE_GREP; // of the tests' full titles: only those run
  const options = { ui: "tdd", timeout: 60_000, color: false, reporter: "spec" } as const;
  const mocha = new Mocha({ ...options, ...(grep === undefined ? {} : { grep }) });
  mocha.suite.emit("pre-require", globalThis, "completion", mocha);
  require("./completion.test");
  require("./endpoint.test");
  require("./folders.test");
  require("./lifecycle.test");
  require("./manners.test");
  require("./models.test");
  require("./privacy.test");
  require("./refactor.test");
  require("./refactor_chat.test");
  await new Promise<void>((resolve, reject) => {
    const runner = mocha.run((failures) => {
      const { passes = 0 } = runner.stats ?? {};
      tell(`${passes} passed, ${failures} failed`);
      if (failures === 0) resolve();
      else reject(new Error(`${failures} ${failures === 1 ? "test" : "tests"} failed.`));
    });
    runner.on("pass", (test) => tell(`ok ${test.fullTitle()} (${test.duration} ms)`));
    runner.on("fail", (test, error) => tell(`not ok ${test.fullTitle()}\n  ${error.stack}`));
  });
}
