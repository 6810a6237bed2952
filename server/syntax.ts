// What tree-sitter knows of a cursor: the syntax gate's features, and whether it stands in a string,
// a comment, an import... The training pipeline calls these same functions on its samples, so model
// and server cannot disagree on what a feature means.

import Parser from "tree-sitter";
import { type Language, languageOf } from "./languages";

/** Node types by what they are, over all grammars. The key is the feature's name after "within:". */
const kinds: Readonly<Record<string, readonly string[]>> = {
  function: [
    "function_declaration",
    "function_definition",
    "function_item",
    "method_definition",
    "method_declaration",
    "constructor_declaration",
    "function_expression",
    "generator_function",
    "generator_function_declaration",
    "function_signature",
    "method_signature",
  ],
  lambda: ["arrow_function", "lambda", "closure_expression", "lambda_expression", "func_literal"],
  class: [
    "class_declaration",
    "class_definition",
    "class",
    "abstract_class_declaration",
    "impl_item",
    "trait_item",
    "struct_item",
    "class_specifier",
    "struct_specifier",
    "interface_declaration",
    "enum_declaration",
    "enum_item",
    "enum_specifier",
    "record_declaration",
    "struct_type",
    "interface_type",
    "union_specifier",
    "namespace_definition",
    "mod_item",
    "internal_module",
  ],
  block: [
    "block",
    "statement_block",
    "compound_statement",
    "class_body",
    "declaration_list",
    "field_declaration_list",
    "interface_body",
    "enum_body",
    "enum_variant_list",
    "constructor_body",
    "object_type",
    "switch_body",
    "enumerator_list",
  ],
  parameters: [
    "formal_parameters",
    "parameters",
    "parameter_list",
    "closure_parameters",
    "lambda_parameters",
    "inferred_parameters",
  ],
  arguments: ["arguments", "argument_list", "token_tree", "macro_invocation"],
  call: [
    "call_expression",
    "call",
    "method_invocation",
    "new_expression",
    "object_creation_expression",
  ],
  if: [
    "if_statement",
    "if_expression",
    "elif_clause",
    "else_clause",
    "conditional_expression",
    "ternary_expression",
    "let_condition",
  ],
  loop: [
    "for_statement",
    "for_in_statement",
    "while_statement",
    "do_statement",
    "for_expression",
    "while_expression",
    "loop_expression",
    "enhanced_for_statement",
    "for_range_loop",
    "range_clause",
    "for_clause",
  ],
  comprehension: [
    "list_comprehension",
    "dictionary_comprehension",
    "set_comprehension",
    "generator_expression",
    "for_in_clause",
    "if_clause",
  ],
  switch: [
    "switch_statement",
    "switch_case",
    "switch_expression",
    "match_statement",
    "match_expression",
    "match_arm",
    "match_block",
    "case_clause",
    "expression_switch_statement",
    "expression_case",
    "type_switch_statement",
    "select_statement",
    "case_statement",
    "switch_block_statement_group",
    "default_case",
    "switch_default",
  ],
  try: [
    "try_statement",
    "catch_clause",
    "except_clause",
    "finally_clause",
    "try_expression",
    "with_statement",
    "try_with_resources_statement",
    "defer_statement",
  ],
  return: [
    "return_statement",
    "return_expression",
    "yield",
    "yield_expression",
    "throw_statement",
    "raise_statement",
    "await_expression",
    "await",
  ],
  assert: ["assert_statement"],
  assignment: [
    "assignment",
    "assignment_expression",
    "augmented_assignment",
    "augmented_assignment_expression",
    "assignment_statement",
    "short_var_declaration",
    "compound_assignment_expr",
    "named_expression",
  ],
  declaration: [
    "lexical_declaration",
    "variable_declaration",
    "variable_declarator",
    "let_declaration",
    "const_item",
    "static_item",
    "declaration",
    "init_declarator",
    "local_variable_declaration",
    "var_declaration",
    "const_declaration",
    "var_spec",
    "const_spec",
    "field_declaration",
    "public_field_definition",
    "field_definition",
    "property_signature",
    "type_declaration",
  ],
  operator: [
    "binary_expression",
    "binary_operator",
    "boolean_operator",
    "comparison_operator",
    "unary_expression",
    "not_operator",
    "unary_operator",
    "update_expression",
  ],
  member: [
    "member_expression",
    "attribute",
    "field_expression",
    "selector_expression",
    "field_access",
    "subscript",
    "subscript_expression",
    "index_expression",
    "qualified_identifier",
    "scoped_identifier",
    "slice",
  ],
  object: [
    "object",
    "dictionary",
    "pair",
    "set",
    "composite_literal",
    "literal_value",
    "keyed_element",
    "struct_expression",
    "field_initializer_list",
    "field_initializer",
    "initializer_list",
    "object_pattern",
    "literal_element",
  ],
  array: [
    "array",
    "list",
    "tuple",
    "array_expression",
    "tuple_expression",
    "array_initializer",
    "array_pattern",
    "tuple_pattern",
    "expression_list",
    "pattern_list",
  ],
  string: [
    "string",
    "template_string",
    "string_literal",
    "raw_string_literal",
    "interpreted_string_literal",
    "char_literal",
    "character_literal",
    "rune_literal",
    "regex",
    "concatenated_string",
    "system_lib_string",
    "text_block",
  ],
  interpolation: ["template_substitution", "interpolation"],
  comment: ["comment", "line_comment", "block_comment", "doc_comment"],
  import: [
    "import_statement",
    "import_from_statement",
    "import_declaration",
    "use_declaration",
    "preproc_include",
    "import_spec",
    "import_spec_list",
    "package_declaration",
    "export_statement",
    "future_import_statement",
    "extern_crate_declaration",
    "package_clause",
    "using_declaration",
  ],
  type: [
    "type_annotation",
    "type_arguments",
    "type_parameters",
    "type_alias_declaration",
    "type",
    "union_type",
    "generic_type",
    "type_item",
    "return_type",
    "type_identifier",
    "array_type",
    "function_type",
    "predefined_type",
    "reference_type",
    "type_spec",
    "type_parameter",
    "pointer_type",
    "map_type",
    "slice_type",
    "type_argument_list",
    "template_argument_list",
    "superclass",
    "extends_clause",
    "implements_clause",
    "trait_bounds",
    "where_clause",
  ],
  decorator: [
    "decorator",
    "decorated_definition",
    "attribute_item",
    "annotation",
    "marker_annotation",
    "modifiers",
  ],
  preprocessor: [
    "preproc_def",
    "preproc_function_def",
    "preproc_if",
    "preproc_ifdef",
    "preproc_call",
  ],
  markup: [
    "jsx_element",
    "jsx_self_closing_element",
    "jsx_expression",
    "jsx_attribute",
    "jsx_opening_element",
  ],
  statement: ["expression_statement"],
  error: ["ERROR"],
  file: ["program", "module", "source_file", "translation_unit"],
};

const kindOfType = new Map(
  Object.entries(kinds).flatMap(([kind, types]) => types.map((type) => [type, kind] as const)),
);

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

const parsers = new Map<string, Parser>();

function parserOf(language: Language): Parser {
  let parser = parsers.get(language.id);
  if (parser === undefined) {
    parser = new Parser();
    parser.setLanguage(language.grammar());
    parsers.set(language.id, parser);
  }
  return parser;
}

const CHUNK = 8192; // characters handed to tree-sitter at once; one long string fails at 32,768

/** The syntax tree of `text`; null where the language has no grammar. `previous` must have been edited to match. */
export function parse(
  languageId: string,
  text: string,
  previous?: Parser.Tree,
): Parser.Tree | null {
  const language = languageOf(languageId);
  if (language === undefined) return null;
  const read = (index: number) => text.slice(index, index + CHUNK);
  return parserOf(language).parse(read, previous);
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
  return inLine && !node.text.endsWith("*/") && nodes.length > 0;
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
  return !node.hasError && !node.isMissing && node.type !== "ERROR";
}
