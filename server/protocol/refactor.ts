// Refactoring, as the editor asks for it and shows it.

import type { ErrorCode } from "./status";

/** LSP's: lines and UTF-16 columns from 0, the end not included. */
export interface TextPosition {
  readonly line: number;
  readonly character: number;
}

export interface TextRange {
  readonly start: TextPosition;
  readonly end: TextPosition;
}

/**
 * What is asked for most, ready-made. All but "rewrite" take a model that follows instructions;
 * "rewrite" writes a block anew from what stands around it, as a completion does.
 */
export type RefactorPreset =
  | "addTypes"
  | "extractFunction"
  | "simplify"
  | "document"
  | "writeTests"
  | "fix"
  | "rewrite";

/** What a language server or a linter says of the code. */
export interface RefactorProblem {
  /** Of the document, from 0. */
  readonly line: number;
  readonly message: string;
}

export interface RefactorParams {
  /** The client's own; progress carries it. */
  readonly id: string;
  readonly textDocument: { readonly uri: string };
  /** Of the document, as the client has it. */
  readonly version: number;
  /** What is selected; empty: whatever encloses the cursor. */
  readonly range: TextRange;
  readonly preset: RefactorPreset | null;
  /** The user's own words, which go before the preset's. */
  readonly instruction: string;
  /** For "fix". */
  readonly problems: readonly RefactorProblem[];
  /** 0 takes the likeliest answer, the same each time; each other number another one. */
  readonly attempt: number;
}

/**
 * Request to the server. Its result is what came of it, never a rejection. Another one for the same
 * document cancels the one before; completions are silent meanwhile.
 */
export const refactorMethod = "ringside/refactor";

export type RefactorResult =
  | {
      readonly kind: "done";
      /** What `text` replaces, in the version that was asked about. */
      readonly target: TextRange;
      /** With the document's line breaks. */
      readonly text: string;
      /** Whether the document has more syntax errors with it than without. */
      readonly breaksSyntax: boolean;
    }
  | { readonly kind: "cancelled" }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly message: string }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

/** What a refusal with CANT_CHAT says. */
export const cantChat = (model: string) =>
  `${model} follows no instructions: it completes code only.`;

export type RefusalCode =
  | "NO_MODEL" // none is loaded yet
  | "CANT_CHAT" // the model follows no instructions
  | "DOCUMENT_CHANGED" // the version is not the one that the server has
  | "EXCLUDED" // no model is shown this file
  | "NO_TARGET" // nothing is selected, and nothing encloses the cursor
  | "CUT_OFF" // the answer is longer than the model's context
  | "NO_CODE" // the model answered, but not with code
  | "UNCHANGED"; // the model would leave the code as it is

/** Notification from the server: first with no text, as soon as the target is known, then as it grows. */
export interface RefactorProgress {
  readonly id: string;
  readonly target: TextRange;
  /** What stands in the target's place so far, with the document's line breaks. */
  readonly text: string;
}
export const refactorProgressMethod = "ringside/refactorProgress";
