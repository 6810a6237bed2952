// What is wrong with a document, as the editor knows it.

import { DiagnosticSeverity, languages, type TextDocument } from "vscode";
import type { RefactorProblem } from "../../server/protocol";

const PROBLEMS = 50; // more are not told: the first ones are the cause of the rest

/** What is wrong now, the nearest to `line` first; the server knows what of it is the target. */
export function problemsIn(document: TextDocument, line: number): RefactorProblem[] {
  const distance = (problem: RefactorProblem) => Math.abs(problem.line - line);
  return languages
    .getDiagnostics(document.uri)
    .filter(({ severity }) => severity !== DiagnosticSeverity.Hint)
    .map(({ range, message }) => ({ line: range.start.line, message }))
    .sort((a, b) => distance(a) - distance(b))
    .slice(0, PROBLEMS);
}
