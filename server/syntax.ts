// What tree-sitter knows of a cursor: the syntax gate's features, and whether it stands in a string,
// a comment, an import... The training pipeline calls these same functions on its samples, so model
// and server cannot disagree on what a feature means.

import type Parser from "tree-sitter";
import { kindOfType, kinds } from "./kinds";
import { type Language, languageOf } from "./languages";
import { Parsers } from "./parsers";

const languageNames = ["typescript", "javascript", "python", "go", "rust", "c", "cpp", "java"];
const places = [
  "in:string",
  "in:comment",
  "in:import",
  "in:arguments",
  "in:type",
  "after:dot",
  "line:start",
  "line:end",
];

/** The syntax gate's features, by index. A model lists the names it was trained with. */
export const syntaxFeatureNames: readonly string[] = [
  ...languageNames.map((name) => `language:${name}`),
  ...places,
  ...Object.keys(kinds).map((kind) => `within:${kind}`),
];

const featureIndex = new Map(syntaxFeatureNames.map((name, index) => [name, index]));

const ENCLOSING = 4; // kinds of enclosing nodes that the gate sees

/** What is known of a cursor. Everything false and no kinds where there is no grammar. */
export interface CursorSyntax {
  readonly inString: boolean;
  readonly inComment: boolean;
  readonly inImport: boolean;
  readonly inArguments: boolean;
  readonly inType: boolean;
  readonly afterDot: boolean;
  /** Kinds of the enclosing nodes, the innermost first. */
  readonly enclosing: readonly string[];
  /** Indices into `syntaxFeatureNames`, ascending. */
  readonly features: readonly number[];
}

const parsers = new Parsers();

/** The syntax tree of `text`; null where the language has no grammar. */
export function parse(languageId: string, text: string): Parser.Tree | null {
  const language = languageOf(languageId);
  if (language === undefined) return null;
  return parsers.parse(language, text);
}

/** What encloses `offset` in `text`, the innermost first, the file last. */
function enclosingNodes(
  tree: Parser.Tree,
  text: string,
  offset: number,
  language: Language,
): Parser.SyntaxNode[] {
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const blankBefore = text.slice(lineStart, offset).trim() === "";
  // On a blank line of a language with blocks by indent, the tree ends the block at its last
  // statement. What is indented less than the cursor still encloses it.
  const byIndent = blankBefore && language.blocksByIndent;
  const from = byIndent ? text.slice(0, lineStart).trimEnd().length : offset;
  const column = offset - lineStart;
  const nodes: Parser.SyntaxNode[] = [];
  let node: Parser.SyntaxNode | null = tree.rootNode.descendantForIndex(
    Math.max(0, from - 1),
    from,
  );
  for (; node !== null; node = node.parent) {
    const contains = node.startIndex < offset && offset < node.endIndex;
    const touches = node.startIndex < offset && offset === node.endIndex && !closes(node);
    const indented = byIndent && node.startPosition.column < column && isCompound(node);
    if (contains || touches || indented || node.parent === null) nodes.push(node);
  }
  return nodes;
}

/** Whether the node ends with what closes it, so that a cursor right behind is outside. */
function closes(node: Parser.SyntaxNode): boolean {
  const last = node.lastChild;
  if (last === null) return true; // a token
  return /^["'`\])}>;]+$|^string_end$/.test(last.type) && last.endIndex > last.startIndex;
}

function isCompound(node: Parser.SyntaxNode): boolean {
  const kind = kindOfType.get(node.type);
  return (
    kind === "function" ||
    kind === "class" ||
    kind === "if" ||
    kind === "loop" ||
    kind === "try" ||
    kind === "switch" ||
    kind === "block"
  );
}

/** What tree-sitter says of the cursor at `offset` in `text`, the completion not there yet. */
export function cursorSyntax(
  languageId: string,
  tree: Parser.Tree | null,
  text: string,
  offset: number,
): CursorSyntax {
  const language = languageOf(languageId);
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const before = text.slice(lineStart, offset);
  const after = text.slice(offset, offset + 256).split("\n", 1)[0] ?? "";
  const nodes =
    tree === null || language === undefined ? [] : enclosingNodes(tree, text, offset, language);
  const found = nodes.flatMap((node) => kindOfType.get(node.type) ?? []);
  const lineComment = language !== undefined && lastTokenIsLineComment(nodes, tree, text, offset);

  const innermost = found[0];
  const afterDot = /(\.|->|::|\?\.)\w*$/.test(before);
  const inComment = innermost === "comment" || lineComment;
  const inString = !inComment && (innermost === "string" || hasOpenQuote(before));
  const place: Record<string, boolean> = {
    "in:string": inString,
    "in:comment": inComment,
    "in:import": found.slice(0, 3).includes("import") || startsImport.test(before),
    "in:arguments": found.slice(0, 2).includes("arguments"),
    "in:type": found.slice(0, 2).includes("type"),
    "after:dot": afterDot && !inString && !inComment,
    "line:start": before.trim() === "",
    "line:end": after.trim() === "",
  };
  const names = [
    ...(language === undefined ? [] : [`language:${language.name}`]),
    ...Object.keys(place).filter((name) => place[name]),
    ...found.slice(0, ENCLOSING).map((kind) => `within:${kind}`),
  ];
  const features = [...new Set(names.map((name) => featureIndex.get(name)!))];
  return {
    inString,
    inComment,
    inImport: place["in:import"]!,
    inArguments: place["in:arguments"]!,
    inType: place["in:type"]!,
    afterDot: place["after:dot"]!,
    enclosing: found,
    features: features.sort((a, b) => a - b),
  };
}

// An import that is being typed is an error to the parser, and its first word all there is to go by.
const startsImport = /^\s*(import|from|use|#\s*include|package)\s/;

/** Whether a string opens in `line` and is not closed: the parser makes of it what it can. */
function hasOpenQuote(line: string): boolean {
  return line.replace(/\\./g, "").split('"').length % 2 === 0;
}

/** A line comment goes on to the end of its line, so a cursor right behind it is still in it. */
function lastTokenIsLineComment(
  nodes: readonly Parser.SyntaxNode[],
  tree: Parser.Tree | null,
  text: string,
  offset: number,
): boolean {
  if (tree === null || offset === 0 || text[offset - 1] === "\n") return false;
  const node = tree.rootNode.descendantForIndex(offset - 1, offset - 1);
  const inLine = kindOfType.get(node.type) === "comment" && node.endIndex === offset;
  return inLine && !text.slice(node.startIndex, offset).endsWith("*/") && nodes.length > 0;
}

/** Parses and looks, for callers that keep no tree. `text` is prefix + suffix, the middle removed. */
export function syntaxAt(languageId: string, text: string, offset: number): CursorSyntax {
  return cursorSyntax(languageId, parse(languageId, text), text, offset);
}

const STATEMENT_WINDOW = 8192; // characters before the cursor that are parsed to judge a completion

/**
 * Whether `text`, written at the end of `prefix`, ends a statement or block: the outermost node that
 * starts on the cursor's line has no error in it, and nothing missing. Always true without a grammar.
 */
export function isWholeStatement(languageId: string, prefix: string, text: string): boolean {
  if (languageOf(languageId) === undefined) return true;
  const from =
    prefix.length <= STATEMENT_WINDOW
      ? 0
      : prefix.indexOf("\n", prefix.length - STATEMENT_WINDOW) + 1;
  const source = prefix.slice(from) + text;
  const root = parse(languageId, source)!.rootNode;
  const line = source.lastIndexOf("\n", prefix.length - from - 1) + 1;
  const start = line + /^\s*/.exec(source.slice(line))![0].length;
  if (start >= source.length) return false;
  let node = root.descendantForIndex(start, start);
  while (node.parent !== null && node.parent.parent !== null && node.parent.startIndex >= start) {
    node = node.parent;
  }
  // Of what does not parse, the parser leaves loose tokens: a word alone is whole only if it is all.
  const loose = node.childCount === 0 && node.endIndex < source.trimEnd().length;
  return !loose && !node.hasError && !node.isMissing && node.type !== "ERROR";
}
