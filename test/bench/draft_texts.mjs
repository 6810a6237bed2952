// Texts for the draft benchmark, one JSON object a line: what a model would be shown, and what it then
// would write. "edit": the changed parts of this project's own commits, shown as before and written as
// after, as a refactoring is. "middle": HumanEval-MultiLineInfilling, as a completion is.
//
//   node test/bench/draft_texts.mjs [HumanEval-MultiLineInfilling.jsonl.gz] > FILE

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const COMMITS = 400;
const LINES = { least: 15, most: 80, changed: 0.4 }; // of a part; more changed is writing, not editing
const EACH = 100; // texts of a kind, spread over all that there are

function git(...args) {
  const { status, stdout } = spawnSync("git", args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`git ${args[0]} failed: this needs the project's history.`);
  return stdout;
}

/** The changed parts of commits, with the lines around them. */
function* edits() {
  const files = ["*.ts", "*.cpp", "*.h", "*.inc", "*.py"];
  for (const commit of git("log", "--no-merges", "--format=%h", `-${COMMITS}`).trim().split("\n")) {
    const patch = git("show", "-U20", "--format=", "--diff-filter=M", commit, "--", ...files);
    for (const part of patch.split(/^@@.*\n/m).slice(1)) {
      const lines = part.split(/^diff --git/m)[0].split("\n");
      const side = (sign) =>
        lines.filter((line) => line[0] === sign || line[0] === " ").map((line) => line.slice(1));
      const [before, after] = [side("-"), side("+")];
      const changed = lines.filter((line) => /^[-+]/.test(line)).length;
      const fits = after.length >= LINES.least && after.length <= LINES.most;
      if (!fits || changed > LINES.changed * lines.length) continue;
      const prompt = `Change this code:\n\`\`\`\n${before.join("\n")}\n\`\`\`\nThe new code:\n\`\`\`\n`;
      yield { kind: "edit", prompt, output: `${after.join("\n")}\n\`\`\`\n` };
    }
  }
}

function* middles(path) {
  for (const line of gunzipSync(readFileSync(path)).toString().trim().split("\n")) {
    const { prompt, suffix, canonical_solution: output } = JSON.parse(line);
    if (output !== "") yield { kind: "middle", prompt: `${suffix}\n${prompt}`, output };
  }
}

function print(texts) {
  const step = Math.max(1, texts.length / EACH);
  for (let i = 0; i < texts.length; i += step) console.log(JSON.stringify(texts[Math.floor(i)]));
}

print([...edits()]);
if (process.argv[2] !== undefined) print([...middles(process.argv[2])]);
