// What a file defines, by its syntax tree: one table over all grammars, as in kinds.ts.

import type Parser from "tree-sitter";
import { languageOf } from "../languages";
import { breaksIn, own } from "../lines";

export type DefinitionKind =
  | "function"
  | "method"
  | "class"
  | "interface"
  | "type"
  | "enum"
  | "constant"
  | "field";

export interface Definition {
  readonly name: string;
  readonly kind: DefinitionKind;
  /** The class that it is a member of. */
  readonly container: string | null;
  /** The declaration without its body, after the first line of its comment if that is short. */
  readonly signature: string;
  /** Counted from 0; where the declaration starts. */
  readonly line: number;
}

type Row = DefinitionKind | "member" | "value";

// "member": a method if it is declared with parameters, else a field. "value": a function if one is
// assigned, else a constant.
const rows: Readonly<Record<string, Row>> = {
  function_declaration: "function",
  generator_function_declaration: "function",
  function_definition: "function",
  function_item: "function",
  function_signature: "function",
  function_signature_item: "function",
  macro_definition: "function",
  preproc_function_def: "function",
  method_definition: "method",
  method_declaration: "method",
  method_signature: "method",
  abstract_method_signature: "method",
  constructor_declaration: "method",
  class_declaration: "class",
  abstract_class_declaration: "class",
  class_definition: "class",
  class_specifier: "class",
  record_declaration: "class",
  struct_specifier: "type",
  union_specifier: "type",
  struct_item: "type",
  union_item: "type",
  type_alias_declaration: "type",
  type_definition: "type",
  alias_declaration: "type",
  type_item: "type",
  type_spec: "type",
  type_alias: "type",
  interface_declaration: "interface",
  trait_item: "interface",
  enum_declaration: "enum",
  enum_item: "enum",
  enum_specifier: "enum",
  const_item: "constant",
  static_item: "constant",
  const_spec: "constant",
  var_spec: "constant",
  preproc_def: "constant",
  public_field_definition: "field",
  field_definition: "field",
  field_declaration: "member",
  declaration: "value",
  variable_declarator: "value",
  assignment: "value",
  assignment_expression: "value",
};

/** Nodes that are looked into, and are part of the declaration that they hold. */
const wrappers = new Set([
  ...["export_statement", "ambient_declaration", "lexical_declaration", "variable_declaration"],
  ...["decorated_definition", "template_declaration", "type_declaration", "const_declaration"],
  ...["var_declaration", "expression_statement"],
]);

/** Nodes that are looked into. */
const scopes = new Set([
  ...["class_body", "interface_body", "object_type", "enum_body_declarations", "block"],
  ...["declaration_list", "field_declaration_list", "statement_block", "enum_body"],
  ...["internal_module", "module", "namespace_definition", "linkage_specification", "mod_item"],
  ...["impl_item", "if_statement", "try_statement", "else_clause", "except_clause"],
  ...["preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif", "var_spec_list"],
]);

const MAX_DEPTH = 8; // namespaces in namespaces; bounds the work in odd trees
const MAX_LINE = 240; // characters of a signature that is written on one line
const MAX_SHAPE = 480; // characters of a type, which is shown whole where it is short
const MAX_COMMENT = 100;
const COMMENT_LINES = 12; // looked back over for a comment's start

interface Place {
  readonly text: string;
  readonly languageId: string;
  readonly container: string | null;
  readonly depth: number;
  /** Where the wrapper starts. */
  readonly start: number | null;
}

/**
 * The definitions of `text` at top level and in its classes, in order. A generator, so that the
 * caller may rest in between: a node costs some microseconds.
 */
export function* definitionsIn(
  tree: Parser.Tree,
  languageId: string,
  text: string,
): Generator<Definition> {
  yield* definitionsUnder(tree.rootNode, {
    text,
    languageId,
    container: null,
    depth: 0,
    start: null,
  });
}

function* definitionsUnder(node: Parser.SyntaxNode, place: Place): Generator<Definition> {
  if (place.depth > MAX_DEPTH) return;
  for (const child of node.namedChildren) {
    const row = rows[child.type];
    if (row !== undefined) yield* definitionsOf(child, row, place);
    else if (wrappers.has(child.type)) {
      const start = place.start ?? child.startIndex;
      yield* definitionsUnder(child, { ...place, start, depth: place.depth + 1 });
    } else if (scopes.has(child.type)) {
      const type = child.type === "impl_item" ? child.childForFieldName("type") : null;
      const container = type === null ? place.container : nameIn(textOf(type, place));
      yield* definitionsUnder(child, { ...place, container, start: null, depth: place.depth + 1 });
    }
  }
}

function* definitionsOf(node: Parser.SyntaxNode, row: Row, place: Place): Generator<Definition> {
  const named = nameOf(node, place);
  if (named === null) return;
  const body = bodyOf(node, row);
  const hollow = /_specifier$/.test(node.type) && body === null;
  if (hollow) return; // only mentions the type
  const container = named.container ?? place.container;
  const kind = kindOf(node, row, body, container);
  const start = startOf(node, place);
  const signature = signatureOf(node, kind, body, start, place);
  const isPrivate = /^(?:#|private\b)/.test(signature) && container !== null;
  if (!isPrivate) {
    const { name } = named;
    const comment = commentAt(start, body, place);
    const whole = comment === null ? signature : `${comment}\n${signature}`;
    yield { name, kind, container, signature: own(whole), line: lineAt(node, start, place) };
  }
  if (!isShape(kind) && kind !== "class") return;
  if (body !== null) {
    const inside = { ...place, container: named.name, start: null, depth: place.depth + 1 };
    for (const definition of definitionsUnder(body, inside)) {
      if (kind === "class" || definition.kind !== "field") yield definition; // a shape shows its fields
    }
  }
}

/** Where the wrapper starts; of the second in a list, and of a group in brackets, its own start. */
function startOf(node: Parser.SyntaxNode, { text, start }: Place): number {
  if (start === null) return node.startIndex;
  const isListed = /_(?:declarator|spec|alias)$/.test(node.type);
  return isListed && /[(=]/.test(text.slice(start, node.startIndex)) ? node.startIndex : start;
}

const isShape = (kind: DefinitionKind) =>
  kind === "interface" || kind === "type" || kind === "enum";

function kindOf(
  node: Parser.SyntaxNode,
  row: Row,
  body: Parser.SyntaxNode | null,
  container: string | null,
): DefinitionKind {
  if (row === "function") return container === null ? "function" : "method";
  if (row === "member") return hasParameters(node) ? "method" : "field";
  if (row !== "value") return row;
  if (body !== null || hasParameters(node)) return container === null ? "function" : "method";
  return container === null ? "constant" : "field";
}

function hasParameters(node: Parser.SyntaxNode): boolean {
  for (let at = node.childForFieldName("declarator"); at !== null; ) {
    if (at.type === "function_declarator") return true;
    at = at.childForFieldName("declarator");
  }
  return false;
}

/** What the signature ends before. */
function bodyOf(node: Parser.SyntaxNode, row: Row): Parser.SyntaxNode | null {
  const body = node.childForFieldName("body");
  if (body !== null || (row !== "value" && row !== "field")) return body;
  const value = node.childForFieldName("value") ?? node.childForFieldName("right");
  const callable = value !== null && /function|^class$/.test(value.type);
  return callable ? value.childForFieldName("body") : null;
}

/** The name that is defined, and the class if the name says it; null for patterns and the like. */
function nameOf(
  node: Parser.SyntaxNode,
  place: Place,
): { name: string; container: string | null } | null {
  let named = node.childForFieldName("name") ?? node.childForFieldName("left");
  let container: string | null = null;
  if (named === null) {
    named = node.childForFieldName("declarator");
    for (let next = named; next !== null; ) {
      named = next;
      next = next.childForFieldName("declarator");
    }
    const scope = named?.childForFieldName("scope") ?? null; // A::b
    if (scope !== null) container = nameIn(textOf(scope, place));
    named = named?.childForFieldName("name") ?? named;
  } else if (named.type === "member_expression") {
    const isFunction = bodyOf(node, "value") !== null;
    named = isFunction ? named.childForFieldName("property") : null;
  }
  const receiver = node.childForFieldName("receiver");
  if (receiver !== null) container = nameIn(textOf(receiver, place).replace(/^\(\s*\w+\s/, ""));
  const name = named === null ? "" : textOf(named, place);
  return /^#?[\p{L}_$~][\p{L}\p{N}_$]*$/u.test(name) ? { name: own(name), container } : null;
}

/** The first word: of List<T> List, of *Server Server. */
function nameIn(text: string): string | null {
  const name = /[\p{L}_$][\p{L}\p{N}_$]*/u.exec(text)?.[0];
  return name === undefined ? null : own(name);
}

function textOf(node: Parser.SyntaxNode, { text }: Place): string {
  return text.slice(node.startIndex, node.endIndex);
}

/** The declaration on one line; of a type all of it, as far as it is short. */
function signatureOf(
  node: Parser.SyntaxNode,
  kind: DefinitionKind,
  body: Parser.SyntaxNode | null,
  start: number,
  { text }: Place,
): string {
  if (isShape(kind) && node.endIndex - start <= MAX_SHAPE) return text.slice(start, node.endIndex);
  const end = body === null || isShape(kind) ? node.endIndex : body.startIndex;
  const declared = text.slice(start, Math.min(end, start + 4 * MAX_LINE));
  if (isShape(kind)) return `${declared.slice(0, MAX_SHAPE).replace(/\n[^\n]*$/, "")}`;
  if (body === null && (kind === "constant" || kind === "field")) {
    return declared.split("\n", 1)[0]!.slice(0, MAX_LINE).trimEnd();
  }
  return declared
    .replace(/\s+/g, " ")
    .slice(0, MAX_LINE)
    .replace(/[\s{]+$/, "");
}

function lineAt(node: Parser.SyntaxNode, start: number, { text }: Place): number {
  return node.startPosition.row - breaksIn(text, start, node.startIndex);
}

/** The first line of the comment right above `start`, or of the docstring in `body`, as a line comment. */
function commentAt(start: number, body: Parser.SyntaxNode | null, place: Place): string | null {
  const { text, languageId } = place;
  const language = languageOf(languageId);
  if (language === undefined) return null;
  const lineStart = text.lastIndexOf("\n", start - 1) + 1;
  const above = text.slice(
    Math.max(0, lineStart - COMMENT_LINES * 100),
    Math.max(0, lineStart - 1),
  );
  const lines = above.split("\n").slice(-COMMENT_LINES);
  let first: string | null = null;
  let inBlock = false;
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i]!.trim();
    inBlock ||= line.endsWith("*/");
    if (!inBlock && !line.startsWith(language.lineComment)) break;
    const said = line.replace(/^(?:\/\*+|\*+(?!\/)|\/\/[/!]?|#(?!\[))\s*|\s*\*+\/$/g, "").trim();
    if (/[\p{L}\p{N}]/u.test(said)) first = said;
    if (inBlock && line.startsWith("/*")) break;
  }
  if (first === null && body !== null) {
    first =
      /^\s*[ru]?("""|''')\s*(.*?)\s*(?:\1|\n)/i.exec(
        text.slice(body.startIndex, body.startIndex + 200),
      )?.[2] ?? null;
  }
  if (first === null || first === "" || first.length > MAX_COMMENT) return null;
  return `${language.lineComment} ${first}`;
}
