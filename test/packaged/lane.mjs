// What the lanes share that make Ringside for another platform here, and run it on a machine that is
// emulated: the kernels' and the engine's tests, and the unpacked VSIX in that platform's Node.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { runCases } from "../doctest.mjs";
import { stage } from "./stage.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export class Lane {
  passed = 0;
  failed = 0;

  constructor(target) {
    this.target = target;
    this.folder = join(root, "build", `native-${target}`);
    this.vsix = join(this.folder, "ringside.vsix");
  }

  /** Makes all that is tested. */
  build({ tests = true } = {}) {
    const start = Date.now();
    here("native/build.mjs", "--target", this.target, ...(tests ? ["--tests"] : []));
    here("extension/build.mjs");
    here("extension/package.mjs", "--target", this.target, "--out", this.vsix);
    console.log(`built in ${seconds(start)} s`);
  }

  /** Unpacks the VSIX into `folder`, and gives where the extension is then. */
  unpack(folder) {
    spawnSync("unzip", ["-q", this.vsix, "-d", folder], { stdio: "inherit" });
    return join(folder, "extension");
  }

  count(name, output, [good, bad], start) {
    if (bad > 0) console.log(output.slice(-10_000));
    console.log(`${name}: ${good} passed, ${bad} failed (${seconds(start)} s)`);
    this.passed += good;
    this.failed += bad;
  }

  /** `machine.run(program, args, { cwd, env, seconds })` starts a program of the platform: `{ ok, output }`. */
  async doctest(machine, name, program, args = []) {
    const start = Date.now();
    const path = join(this.folder, program);
    const { passed, failed, output } = await runCases((more) => machine.run(path, more), args);
    this.count(name, output, [passed, failed], start);
  }

  /**
   * Runs unit tests in `node`, over the packaged server and the packaged addon, from `folder`. `names` are
   * paths without their ending; null: all.
   */
  async unitTests(machine, node, { extension, folder, names, env, limit }) {
    stage(root, extension, folder);
    const every = () =>
      readdirSync(join(folder, "test"), { recursive: true })
        .filter((name) => name.endsWith(".test.js"))
        .map((name) => join("test", name));
    const files = names?.map((name) => `${name}.test.js`) ?? every();
    const missing = files.filter((name) => !existsSync(join(folder, name)));
    if (missing.length > 0) throw new Error(`There is no ${relative(folder, missing.join(", "))}.`);

    const start = Date.now();
    const run = async (some) => {
      const args = ["--test", "--test-reporter=tap", "--test-concurrency=2", ...some];
      const { ok, output } = await machine.run(node, args, { cwd: folder, env, seconds: limit });
      const passes = /^# pass (\d+)/m.exec(output)?.[1];
      const failures = /^# fail (\d+)/m.exec(output)?.[1];
      const blocks = output.split(/^(?=\s*(?:not )?ok )/m);
      const broken = blocks.filter((block) => block.trimStart().startsWith("not ok"));
      return { sums: counts(passes, failures, ok), broken, output };
    };
    const first = await run(files);
    // Wine starts no process at times ("spawn UNKNOWN"), which says nothing of what was to run in it.
    const unstarted = files.filter((name) =>
      first.broken.some(
        (block) =>
          /^ *error: 'spawn [A-Z]+'/m.test(block) &&
          block.replace(/\\+/g, "/").split("\n")[0].endsWith(name.replaceAll("\\", "/")),
      ),
    );
    const runs = unstarted.length === 0 ? [first] : [first, await run(unstarted)];
    const [passed, failed] = [0, 1].map((i) => runs.reduce((sum, { sums }) => sum + sums[i], 0));
    const broken = runs.flatMap((each) => each.broken).join("");
    const sums = [passed, failed - unstarted.length];
    this.count("Node", broken || first.output, sums, start);
  }

  /** Prints the sum, and ends the process. */
  end() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exit(this.failed === 0 ? 0 : 1);
  }
}

const seconds = (start) => Math.round((Date.now() - start) / 1000);

/** Passed and failed. What says neither, or ends badly without saying why, failed once. */
function counts(passed, failed, ok) {
  if (passed === undefined || failed === undefined) return [0, 1];
  return [Number(passed), ok ? Number(failed) : Number(failed) || 1];
}

function here(...args) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status === 0) return;
  console.log(`${args.join(" ")} did not work.\n0 passed, 1 failed`);
  process.exit(1);
}
