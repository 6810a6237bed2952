// How sound a text is to the parser: compared before a change and after it.

import type Parser from "tree-sitter";

/** Places at which the parser found no syntax, or missed some; 0 where there is no grammar. */
export function syntaxErrors(tree: Parser.Tree | null): number {
  if (tree === null) return 0;
  let count = 0;
  const waiting = [tree.rootNode];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (!node.hasError && !node.isMissing) continue;
    if (node.type === "ERROR" || node.isMissing) count++;
    for (const child of node.children) waiting.push(child); // of a table of data more than a call takes
  }
  return count;
}
