// Runs a doctest program some of its cases at a time, as many processes as there are cores: a case mostly
// takes one of them.

import { availableParallelism } from "node:os";

const PIECES = 16; // more than cores: cases differ much in time

/**
 * `run(args)` starts the program and resolves to `{ ok, output }`. Resolves to the number of cases that passed
 * and that failed, and the `output` of those that failed.
 */
export async function runCases(run, args = []) {
  const { output: counted } = await run([...args, "--count"]);
  const cases = Number(/passing the current filters: (\d+)/.exec(counted)?.[1] ?? 0);
  if (cases === 0) return { passed: 0, failed: 1, output: counted };

  const size = Math.ceil(cases / PIECES);
  const firsts = Array.from({ length: Math.ceil(cases / size) }, (_, i) => i * size + 1);
  let failed = 0;
  let output = "";
  const takePieces = async () => {
    for (let first = firsts.shift(); first !== undefined; first = firsts.shift()) {
      const range = [`--first=${first}`, `--last=${first + size - 1}`];
      const piece = await run([...args, ...range]);
      if (piece.ok) continue;
      const said = Number(/test cases:.*\|\s*(\d+) failed/.exec(piece.output)?.[1] ?? 0);
      failed += Math.max(said, 1); // of a crash it may say nothing
      output += failedCases(piece.output) || piece.output;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, takePieces));
  return { passed: cases - failed, failed, output };
}

/** Of doctest's output, the cases that failed: those that passed may have much to say. */
function failedCases(output) {
  const cases = output.replaceAll("\r", "").split(/^={20,}$/m); // Windows ends its lines with \r too
  return cases.filter((each) => /\bERROR\b|Status: FAILURE/.test(each)).join("");
}
