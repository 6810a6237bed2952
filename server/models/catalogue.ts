// The models that Ringside knows by name: catalogue.json, what its entries say, and finding one.
//
// Sizes and SHA-256 in it are those that the files' publishers give. One that could not be
// established is null, and a size then an estimate: the download asks the server, and checks what
// that says. HumanEval is published pass@1 of the unquantized model; null where no figure was at hand.

import { join } from "node:path";
import { RingsideError } from "../errors";
import catalogueFile from "./catalogue.json";
import type { Variant } from "./files";

export interface CatalogueModel {
  /** What "ringside.model" and `ringside pull` take; with "-q8_0" and the like for a variant. */
  readonly id: string;
  readonly name: string;
  readonly family: string;
  /** A base model continues code; an instruct model answers. Completion wants base. */
  readonly tuning: "base" | "instruct";
  /** What it was trained to take: code with a hole in it, a conversation, or both. */
  readonly prompts: "fim" | "chat" | "both";
  /** In billions: all, and those that one token takes. */
  readonly parameters: { readonly total: number; readonly active: number };
  /** Of the KV cache, at 16 bits a value; null: it does not grow with the context. */
  readonly kvBytesPerToken: number | null;
  readonly licence: string;
  readonly humanEval: { readonly passAt1: number; readonly source: string } | null;
  readonly note: string | null;
  /** The first is the one to take; none: it comes with Ringside. */
  readonly variants: readonly Variant[];
}

/** A model of the catalogue in one of its forms; `variant` null: the one that comes with Ringside. */
export interface Choice {
  readonly model: CatalogueModel;
  readonly variant: Variant | null;
}

export const catalogue = catalogueFile.models as readonly CatalogueModel[];

/** The id that names this form and no other: "qwen2.5-coder-1.5b-q8_0". */
export function idOf({ model, variant }: Choice): string {
  return variant === null ? model.id : `${model.id}-${variant.quantization.toLowerCase()}`;
}

/** Every form of every model, the one to take first. */
export function choices(): Choice[] {
  return catalogue.flatMap((model): Choice[] =>
    model.variants.length === 0
      ? [{ model, variant: null }]
      : model.variants.map((variant) => ({ model, variant })),
  );
}

/** The model of that id, with or without a variant, in any case; null: there is none. */
export function find(id: string): Choice | null {
  const wanted = id.toLowerCase();
  const all = choices();
  return (
    all.find((choice) => idOf(choice) === wanted) ??
    all.find(({ model }) => model.id === wanted) ??
    null
  );
}

/** The model of that id, or MODEL_NOT_FOUND with the ids that look like it. */
export function choose(id: string): Choice {
  const choice = find(id);
  if (choice !== null) return choice;
  const start = id.toLowerCase().slice(0, 4);
  const alike = catalogue.filter((model) => model.id.startsWith(start));
  const known = (alike.length > 0 ? alike : catalogue).map((model) => model.id).join(", ");
  throw new RingsideError(
    "MODEL_NOT_FOUND",
    `There is no model "${id}". Known are ${known}; "Ringside: Download a Model..." in VS Code and \`ringside models\` list them all.`,
  );
}

/** Where a form of a model is kept: a folder of its own. */
export function folderOf(choice: Choice, modelsDirectory: string): string {
  return join(modelsDirectory, idOf(choice));
}

/** Memory for the weights and for a context of so many tokens, about. */
export function memoryBytes({ model, variant }: Choice, contextTokens: number): number {
  return (variant?.totalBytes ?? 0) + (model.kvBytesPerToken ?? 0) * contextTokens;
}
