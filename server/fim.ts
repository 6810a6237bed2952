// Filling in the middle: which special tokens a model has for it, and in which order they stand.
// A layout is a row; the model's own tokens say which row it is.

/** The special tokens of a prompt that fills in the middle, and how its parts are ordered. */
export interface Fim {
  /** The row's name, for logs and `ringside inspect`. */
  readonly layout: string;
  readonly prefix: number;
  readonly suffix: number;
  /** null: the model goes on right behind the prefix. */
  readonly middle: number | null;
  /** Whether the suffix stands before the prefix. Then typing appends to the prompt's end. */
  readonly suffixFirst: boolean;
  /** Stands before each file where several are shown; null: the model was not trained on several. */
  readonly file: number | null;
  /** Stands before the repository's name, which comes before the files. */
  readonly repository: number | null;
  /** Where the current file's path stands when several are shown. */
  readonly path: "beforeFim" | "afterPrefixToken";
  /** Whether the path stands there even when no other file is shown. */
  readonly alwaysPath: boolean;
}

interface Layout {
  readonly name: string;
  readonly prefix: string;
  readonly suffix: string;
  readonly middle: string | null;
  readonly suffixFirst?: boolean;
  readonly file?: string;
  readonly repository?: string;
  readonly path?: Fim["path"];
  readonly alwaysPath?: boolean;
  /** Only models of this family; the same tokens may stand otherwise elsewhere. */
  readonly family?: string;
  /** Names of models that have these tokens, for who knows of a model its name alone. */
  readonly models?: RegExp;
  /** Tokens beside these that end what such a model writes. */
  readonly ends?: readonly string[];
}

// From the models' cards and papers: Qwen2.5-Coder (Hui et al. 2024), StarCoder 2 (Lozhkov et al.
// 2024), DeepSeek-Coder (Guo et al. 2024), Code Llama (Rozière et al. 2023), Codestral
// (mistral-common's FIM encoding) and Granite Code (Mishra et al. 2024).
const layouts: readonly Layout[] = [
  {
    name: "ringside",
    family: "ringside",
    prefix: "<|fim_prefix|>",
    suffix: "<|fim_suffix|>",
    middle: "<|fim_middle|>",
    suffixFirst: true,
    file: "<|file_sep|>",
    alwaysPath: true,
  },
  {
    name: "qwen",
    prefix: "<|fim_prefix|>",
    suffix: "<|fim_suffix|>",
    middle: "<|fim_middle|>",
    file: "<|file_sep|>",
    repository: "<|repo_name|>",
    models: /(^|[^a-z])qwen[\d.]*-?coder/i,
    ends: ["<|endoftext|>", "<|im_end|>"],
  },
  {
    name: "starcoder",
    prefix: "<fim_prefix>",
    suffix: "<fim_suffix>",
    middle: "<fim_middle>",
    file: "<file_sep>",
    repository: "<repo_name>",
    path: "afterPrefixToken",
    models: /starcoder-?2/i,
    ends: ["<|endoftext|>"],
  },
  {
    name: "deepseek",
    prefix: "<｜fim▁begin｜>",
    suffix: "<｜fim▁hole｜>",
    middle: "<｜fim▁end｜>",
    models: /deepseek-?coder/i,
    ends: ["<｜end▁of▁sentence｜>"],
  },
  {
    name: "codellama",
    prefix: "▁<PRE>",
    suffix: "▁<SUF>",
    middle: "▁<MID>",
    models: /code-?llama/i,
    ends: ["▁<EOT>"],
  },
  { name: "codellama", prefix: "<PRE>", suffix: "<SUF>", middle: "<MID>" },
  {
    name: "codestral",
    prefix: "[PREFIX]",
    suffix: "[SUFFIX]",
    middle: null,
    suffixFirst: true,
    models: /codestral(?!-mamba)/i,
  },
  {
    name: "granite",
    prefix: "<fim_prefix>",
    suffix: "<fim_suffix>",
    middle: "<fim_middle>",
    models: /starcoder(?!-?2)|granite.*code/i, // StarCoder's first names files in another way
    ends: ["<|endoftext|>"],
  },
  {
    name: "granite",
    prefix: "<|fim_prefix|>",
    suffix: "<|fim_suffix|>",
    middle: "<|fim_middle|>",
    models: /granite-?4|code-?gemma/i,
    ends: ["<|endoftext|>", "<|end_of_text|>", "<|file_separator|>"],
  },
  {
    name: "santacoder",
    prefix: "<fim-prefix>",
    suffix: "<fim-suffix>",
    middle: "<fim-middle>",
    models: /santacoder/i,
    ends: ["<|endoftext|>"],
  },
];

/** What is known of a model's special tokens. */
export interface KnownTokens {
  readonly family: string;
  readonly specialTokens: Readonly<Record<string, number>>;
  /** Named by the file itself, as GGUF can. */
  readonly named: {
    readonly fimPrefix: number | null;
    readonly fimSuffix: number | null;
    readonly fimMiddle: number | null;
    readonly fimRepository: number | null;
    readonly fimSeparator: number | null;
  };
}

/** How the model fills in the middle, or null if it has no tokens for it. */
export function fimOf({ family, specialTokens, named }: KnownTokens): Fim | null {
  const id = (text: string | null | undefined) =>
    text === null || text === undefined ? null : (specialTokens[text] ?? null);
  for (const row of layouts) {
    if (row.family !== undefined && row.family !== family) continue;
    const [prefix, suffix, middle] = [id(row.prefix), id(row.suffix), id(row.middle)];
    if (prefix === null || suffix === null) continue;
    if (row.middle !== null && middle === null) continue;
    const [file, repository] = [id(row.file), id(row.repository)];
    if (row.file !== undefined && file === null) continue; // an older model of the same makers
    const { name: layout, suffixFirst = false, path = "beforeFim", alwaysPath = false } = row;
    return { layout, prefix, suffix, middle, suffixFirst, file, repository, path, alwaysPath };
  }
  const { fimPrefix, fimSuffix, fimMiddle, fimRepository, fimSeparator } = named;
  if (fimPrefix === null || fimSuffix === null || fimMiddle === null) return null;
  return {
    layout: "as the file names them",
    prefix: fimPrefix,
    suffix: fimSuffix,
    middle: fimMiddle,
    suffixFirst: false,
    file: fimSeparator,
    repository: fimRepository,
    path: "beforeFim",
    alwaysPath: false,
  };
}

/** The special tokens of a model, as text. */
export interface Markers {
  /** For filling in the middle. */
  readonly fim: readonly string[];
  /** That end what it writes. */
  readonly ends: readonly string[];
}

/** What a model of this name has for filling in the middle, for a server that reads special tokens as text; null: not known. */
export function markersOf(model: string): Markers | null {
  const row = layouts.find(({ models }) => models?.test(model));
  if (row === undefined) return null;
  const texts = [row.prefix, row.suffix, row.middle, row.file, row.repository];
  return {
    fim: texts.filter((text) => text !== undefined && text !== null),
    ends: row.ends ?? [],
  };
}
