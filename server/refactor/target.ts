// What is changed: the lines that are selected, widened where they would cut a piece of syntax in two;
// or, where nothing is selected, what encloses the cursor.

import type Parser from "tree-sitter";
import { kindOfType } from "../kinds";
import { lineEnd, lineStart } from "../lines";
import { blank, type Span } from "./text";

type Node = Parser.SyntaxNode;

const WIDENED = 8000; // characters that a selection grows by at most; beyond, what is selected is meant
const wrappers = new Set(["export_statement", "decorated_definition", "template_declaration"]);
const compound = new Set(["function", "class", "if", "loop", "try", "switch"]);
const belongsToNext = new Set(["comment", "decorator"]);

/** Whole lines, from the first's start to the last's last character; null where there is nothing. */
export function targetOf(text: string, tree: Parser.Tree | null, selected: Span): Span | null {
  if (selected.start < selected.end) {
    const lines = wholeLines(text, selected);
    return lines === null || tree === null ? lines : wholeNodes(text, tree.rootNode, lines);
  }
  if (tree === null) return paragraphAt(text, selected.start);
  const node = enclosingNode(text, tree.rootNode, selected.start);
  const lines = node === null ? null : wholeLines(text, withLeading(node));
  return lines === null ? null : wholeNodes(text, tree.rootNode, lines);
}

/** The lines of `span` without blank ones around them; null if all are blank. */
function wholeLines(text: string, { start, end }: Span): Span | null {
  // A selection that ends where a line starts does not mean that line.
  const last = end > start && text[end - 1] === "\n" ? end - 1 : end;
  const from = lineStart(text, start);
  const covered = text.slice(from, lineEnd(text, last));
  if (blank(covered)) return null;
  const first = covered.length - covered.trimStart().length;
  return { start: lineStart(text, from + first), end: from + covered.trimEnd().length };
}

/** `lines`, and the rest of the nodes that they would cut. */
function wholeNodes(text: string, root: Node, lines: Span): Span {
  let span = lines;
  for (;;) {
    const wider = wholeLines(text, uncut(root, trimmed(text, span))) ?? span;
    if (wider.start === span.start && wider.end === span.end) return span;
    const grown = lines.start - wider.start + wider.end - lines.end;
    if (grown > WIDENED) return lines;
    span = wider;
  }
}

function trimmed(text: string, { start, end }: Span): Span {
  const covered = text.slice(start, end);
  return { start: start + covered.length - covered.trimStart().length, end };
}

/** The children that `span` touches of the node around it, whole. */
function uncut(root: Node, span: Span): Span {
  const node = root.descendantForIndex(span.start, span.end);
  if (node.type === "ERROR") return span; // of what does not parse, the parser can't say where it ends
  const opens = node.startIndex >= span.start && compound.has(kindOfType.get(node.type) ?? "");
  if (opens && node.parent !== null) return spanOf(node); // its head alone is no piece of syntax
  const touched = node.children.filter(
    (child) => child.startIndex < span.end && child.endIndex > span.start,
  );
  if (touched.some(({ type }) => type === "ERROR")) return span;
  const first = touched[0] ?? node;
  const last = touched.at(-1) ?? node;
  return {
    start: Math.min(span.start, first.startIndex),
    end: Math.max(span.end, last.endIndex),
  };
}

const spanOf = ({ startIndex, endIndex }: Node): Span => ({ start: startIndex, end: endIndex });

/** The function or class around `offset`; elsewhere the statement; null between statements. */
function enclosingNode(text: string, root: Node, offset: number): Node | null {
  const enclosing = [...ancestors(nodeAt(text, root, offset))].filter(
    ({ parent }) => parent !== null,
  );
  const found = enclosing.find(isDefinition) ?? enclosing.at(-1);
  return found === undefined || found.type === "ERROR" ? null : found;
}

/** The innermost node at `offset`: in white space before or behind code, that code's. */
export function nodeAt(text: string, root: Node, offset: number): Node {
  const from = lineStart(text, offset);
  const line = text.slice(from, lineEnd(text, offset));
  if (blank(line)) return root.descendantForIndex(offset, offset);
  const first = from + line.length - line.trimStart().length;
  const last = from + line.trimEnd().length - 1;
  const at = Math.min(Math.max(offset, first), last);
  return root.descendantForIndex(at, at + 1);
}

export function* ancestors(node: Node): Generator<Node> {
  for (let next: Node | null = node; next !== null; next = next.parent) yield next;
}

function isDefinition(node: Node): boolean {
  if (!node.isNamed) return false; // the word `class` has the type of a class
  const kind = kindOfType.get(node.type);
  const manyLines = node.startPosition.row < node.endPosition.row;
  return kind === "function" || kind === "class" || (kind === "lambda" && manyLines);
}

/** `node` with what wraps it, and the comments and decorators that stand right before it. */
function withLeading(node: Node): Span {
  let outer = node;
  while (outer.parent !== null && wrappers.has(outer.parent.type)) outer = outer.parent;
  let first = outer;
  for (;;) {
    const before: Node | null = first.previousNamedSibling;
    if (before === null || !belongsToNext.has(kindOfType.get(before.type) ?? "")) break;
    // A comment that goes with the end of the line before is that line's.
    const alone = before.previousNamedSibling?.endPosition.row !== before.startPosition.row;
    // Some grammars end a line comment behind its line break.
    const endRow = before.endPosition.row - (before.endPosition.column === 0 ? 1 : 0);
    if (!alone || endRow + 1 !== first.startPosition.row) break;
    first = before;
  }
  return { start: first.startIndex, end: outer.endIndex };
}

/** The lines around `offset` up to blank ones; null on a blank line. */
function paragraphAt(text: string, offset: number): Span | null {
  const lineAt = (at: number) => text.slice(lineStart(text, at), lineEnd(text, at));
  if (blank(lineAt(offset))) return null;
  let start = lineStart(text, offset);
  while (start > 0 && !blank(lineAt(start - 1))) start = lineStart(text, start - 1);
  let end = lineEnd(text, offset);
  for (;;) {
    const next = text.indexOf("\n", end) + 1;
    if (next === 0 || blank(lineAt(next))) break;
    end = lineEnd(text, next);
  }
  return wholeLines(text, { start, end });
}
