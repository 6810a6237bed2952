// An endpoint that others made: `transformers serve` with a tiny random model, offline. Run by hand
// where Python has torch and transformers, which are too large for each run of all tests:
//   node test/remote/real_server.mjs
// Its last line counts. What else the server wants is installed into build/.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const packages = join(root, "build", "remote-python");
const models = join(root, "build", "remote-models");
const model = join(models, "qwen2.5-coder-tiny");
const unknown = join(models, "some-tiny"); // the same, by a name that tells nothing
const python = process.env.PYTHON ?? "python3";
const START_MS = 120_000; // of importing torch on a busy machine
const env = { ...process.env, PYTHONPATH: packages, HF_HUB_OFFLINE: "1" };

function run(args) {
  const start = Date.now();
  const { status } = spawnSync(python, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  console.log(`${args.slice(0, 3).join(" ")}: ${((Date.now() - start) / 1000).toFixed(0)} s`);
  return status === 0;
}

function fail(why) {
  console.error(why);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether the server is up within START_MS. */
async function isUp(url) {
  for (const end = Date.now() + START_MS; Date.now() < end; await delay(250)) {
    const reply = await fetch(`${url}/health`).catch(() => null);
    if (reply?.ok) return true;
  }
  return false;
}

if (!run(["-c", "import torch, transformers"])) {
  fail(
    `${python} has no torch and transformers: pip install torch transformers, then run this again.`,
  );
}
if (!existsSync(join(packages, "accelerate"))) {
  const wanted = ["fastapi", "uvicorn", "openai"];
  const pip = ["-m", "pip", "install", "-q", "--target", packages];
  // accelerate's own needs are torch and what transformers has; a second torch would fill the disk.
  if (!run([...pip, ...wanted]) || !run([...pip, "--no-deps", "accelerate", "psutil"])) {
    fail("The server's packages could not be installed.");
  }
}
rmSync(models, { recursive: true, force: true });
mkdirSync(model, { recursive: true });
if (!run([join(root, "test", "remote", "make_model.py"), model])) fail("The model was not made.");
cpSync(model, unknown, { recursive: true });

const port = await freePort();
const serve = ["-m", "transformers.cli.transformers", "serve", "--device", "cpu"];
const server = spawn(python, [...serve, "--port", String(port)], { env, stdio: "ignore" });
const origin = `http://localhost:${port}`;
try {
  if (!(await isUp(origin))) fail("The server did not start.");
  const tests = join(root, "test", "remote", "real_server.test.ts");
  const { stdout } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--test", "--test-reporter=tap", tests],
    {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ENDPOINT: `${origin}/v1`, MODEL: model, UNKNOWN_MODEL: unknown },
    },
  );
  console.log(stdout);
  const [passed, failed] = ["pass", "fail"].map(
    (word) => new RegExp(`^# ${word} (\\d+)`, "m").exec(stdout)?.[1] ?? "0",
  );
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === "0" && passed !== "0" ? 0 : 1;
} finally {
  server.kill();
}
