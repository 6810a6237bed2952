// HumanEval-Infilling (Bavarian et al. 2022), single line: how often the model writes exactly the line
// that was taken out, and what the completion policy makes of it.
//
//   node --import tsx test/eval/infilling.ts HumanEval-SingleLineInfilling.jsonl.gz [--json]
//     [--model FOLDER] [--limit N] [--no-gate] [--no-copy]

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { ModelEngine } from "../../server/engine";
import { finish } from "../../server/finish";
import { buildPrompt } from "../../server/prompt";
import { syntaxAt } from "../../server/syntax";

interface Problem {
  readonly task_id: string;
  readonly prompt: string;
  readonly suffix: string;
  readonly canonical_solution: string;
}

const MAX_TOKENS = 64; // the longest line is shorter

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: "string", default: join(__dirname, "../../models/ringside-small") },
      limit: { type: "string", default: "100000" },
      json: { type: "boolean", default: false },
      "no-gate": { type: "boolean", default: false },
      "no-copy": { type: "boolean", default: false },
    },
  });
  const [path] = positionals;
  if (path === undefined) throw new Error("Name HumanEval-SingleLineInfilling.jsonl.gz.");
  const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
  const problems = lines.slice(0, Number(values.limit)).map((line) => JSON.parse(line) as Problem);
  const engine = await ModelEngine.load(values.model);
  const signal = new AbortController().signal;
  let exact = 0;
  let shown = 0;
  let shownExact = 0;
  const start = performance.now();
  for (const { prompt: prefix, suffix, canonical_solution: wanted } of problems) {
    const cursor = { prefix, suffix, path: "src/solution.py", languageId: "python" };
    const prompt = buildPrompt(cursor, [], { tokens: 2048 }, engine.vocabulary);
    const { features } = syntaxAt("python", prefix + suffix, prefix.length);
    const generated = await engine.generate(
      prompt,
      {
        maxTokens: MAX_TOKENS,
        features: values["no-gate"] ? [] : features,
        singleLine: true,
        copy: !values["no-copy"],
        until: () => null,
      },
      signal,
    );
    const line = generated.text.trim().split("\n")[0]!.trimEnd();
    if (line === wanted.trim()) exact++;
    const proposal = finish(generated.text, cursor).trim();
    if (proposal !== "") shown++;
    if (proposal === wanted.trim()) shownExact++;
  }
  const result = {
    problems: problems.length,
    exactMatch: exact / problems.length,
    shownShare: shown / problems.length,
    shownExactMatch: shownExact / problems.length,
    secondsTotal: Math.round((performance.now() - start) / 100) / 10,
    syntaxGate: !values["no-gate"],
    copying: !values["no-copy"],
  };
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  console.log(`${engine.info.name}, ${result.problems} problems, ${result.secondsTotal} s`);
  console.log(`exact match              ${percent(result.exactMatch)}`);
  console.log(`something is proposed    ${percent(result.shownShare)}`);
  console.log(`what is proposed matches ${percent(result.shownExactMatch)}`);
  if (values.json) console.log(JSON.stringify(result));
  engine.close();
}

void main();
