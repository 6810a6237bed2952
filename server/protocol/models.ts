// Models, as the editor shows and downloads them.

import type { ErrorCode } from "./status";

/** A model that the user can ask to be downloaded. */
export interface DownloadableModel {
  /** What "ringside.model" can be set to once it is here. */
  readonly id: string;
  readonly title: string;
  readonly detail: string;
  readonly downloaded: boolean;
  readonly advice: ModelAdvice;
  /** Whether it is the one to take on this machine. */
  readonly recommended: boolean;
}

/** Whether a model suits this machine. */
export interface ModelAdvice {
  /** "quick": it answers between keys; "slow": nobody would wait for it. */
  readonly level: "quick" | "fits" | "slow" | "tooLarge";
  readonly says: string;
}

/** Request to the server, without parameters; its result is DownloadableModel[]. */
export const modelsMethod = "ringside/models";

export interface PullParams {
  readonly id: string;
  /** VS Code's `http` settings: the proxy. */
  readonly http: unknown;
}

/**
 * Request to the server: downloads the model that the user chose by name. Its result is what came of
 * it, never a rejection; cancelled, it keeps what came, and the next one goes on from there.
 */
export const pullMethod = "ringside/pull";

export type PullResult =
  | { readonly kind: "here" }
  | { readonly kind: "cancelled" }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

export interface RemoveParams {
  readonly id: string;
}

/** Request to the server: deletes a downloaded model. Its result is what came of it, never a rejection. */
export const removeMethod = "ringside/remove";

export type RemoveResult =
  | { readonly kind: "gone"; readonly says: string }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

/** Notification from the server while a pull is under way. */
export interface PullProgress {
  readonly id: string;
  /** Of the whole; null: not known. */
  readonly share: number | null;
  readonly message: string;
}
export const pullProgressMethod = "ringside/pullProgress";
