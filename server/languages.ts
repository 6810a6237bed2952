// The languages: one row each. A row without a grammar still completes, by indentation.

import type Parser from "tree-sitter";

export interface Language {
  /** VS Code's language id. */
  readonly id: string;
  /** The name that the syntax gate and the training corpus use; dialects share one. */
  readonly name: string;
  readonly extensions: readonly string[];
  readonly lineComment: string;
  /** Where indentation, not brackets, says what a block holds. */
  readonly blocksByIndent: boolean;
  /** Loads the tree-sitter grammar when it is first needed. */
  readonly grammar: () => Parser.Language;
}

const typescript = () => require("tree-sitter-typescript");

// Loaded on first use: a grammar is 1-4 MB of tables, and most sessions need one or two.
export const languages: readonly Language[] = [
  row("typescript", "typescript", [".ts", ".mts", ".cts"], "//", () => typescript().typescript),
  row("typescriptreact", "typescript", [".tsx"], "//", () => typescript().tsx),
  row("javascript", "javascript", [".js", ".mjs", ".cjs"], "//", () =>
    require("tree-sitter-javascript"),
  ),
  row("javascriptreact", "javascript", [".jsx"], "//", () => require("tree-sitter-javascript")),
  { ...row("python", "python", [".py", ".pyi"], "#", pythonGrammar), blocksByIndent: true },
  row("go", "go", [".go"], "//", () => require("tree-sitter-go")),
  row("rust", "rust", [".rs"], "//", () => require("tree-sitter-rust")),
  row("c", "c", [".c", ".h"], "//", () => require("tree-sitter-c")),
  row("cpp", "cpp", [".cc", ".cpp", ".cxx", ".hpp", ".hh"], "//", () => require("tree-sitter-cpp")),
  row("java", "java", [".java"], "//", () => require("tree-sitter-java")),
];

function pythonGrammar(): Parser.Language {
  return require("tree-sitter-python");
}

function row(
  id: string,
  name: string,
  extensions: readonly string[],
  lineComment: string,
  grammar: () => Parser.Language,
): Language {
  return { id, name, extensions, lineComment, grammar, blocksByIndent: false };
}

const byId = new Map(languages.map((language) => [language.id, language]));

/** The row of a VS Code language id, if there is one. */
export function languageOf(languageId: string): Language | undefined {
  return byId.get(languageId);
}

/** The VS Code language id of a file by its extension; "plaintext" where none is known. */
export function languageIdOfPath(path: string): string {
  const extension = /\.[^./\\]+$/.exec(path)?.[0].toLowerCase();
  const language = languages.find(({ extensions }) => extensions.includes(extension ?? ""));
  return language?.id ?? "plaintext";
}
