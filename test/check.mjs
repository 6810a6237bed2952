// Types and format of every language: npm run check. `--write` mends the format.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const write = process.argv.includes("--write");
let failed = false;

function run(name, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error?.code === "ENOENT") console.log(`${name}: ${command} is not installed, left out.`);
  else if (status !== 0) {
    failed = true;
    console.log(`${name}: failed`);
  }
}

function filesOf(...patterns) {
  const { stdout } = spawnSync("git", ["ls-files", "-co", "--exclude-standard", ...patterns], {
    cwd: root,
    encoding: "utf8",
  });
  return stdout.split("\n").filter((file) => file !== "" && existsSync(join(root, file)));
}

const bin = (name) => join(root, "node_modules", ".bin", name);
run("types", bin("tsc"), []);
run("biome", bin("biome"), write ? ["check", "--write"] : ["check", "--error-on-warnings"]);
const cpp = filesOf("*.cpp", "*.cu", "*.h", "*.inc");
run("clang-format", "clang-format", [...(write ? ["-i"] : ["--dry-run", "--Werror"]), ...cpp]);
run("ruff", "ruff", write ? ["check", "--fix", "."] : ["check", "."]);
process.exit(failed ? 1 : 0);
