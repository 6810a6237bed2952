// What the extension and the server say beyond standard LSP.
// The only server file that the extension may import.

/** The `ringside` section of settings.json. Defaults live in package.json and nowhere else. */
export interface Settings {
  readonly enabled: boolean;
  /** VS Code language ids in which nothing is proposed. */
  readonly disabledLanguages: readonly string[];
  /** A model's folder, its .gguf file, or an id of the catalogue; null: the bundled model. */
  readonly model: string | null;
  /** Where downloaded models are kept; null: the platform's place for data. */
  readonly modelsDirectory: string | null;
  /** Where models are downloaded from, instead of Hugging Face. */
  readonly mirror: string | null;
  /** "auto": a GPU if one can be used; "cuda": the same, and the status says why if none can. */
  readonly device: "auto" | "cpu" | "cuda";
  /** 0: one for each physical core. */
  readonly threads: number;
  /** How much of the code around the cursor the model is shown. */
  readonly contextTokens: number;
  readonly maxTokens: number;
  /** Megabytes that the model may take; null: three quarters of the machine's. */
  readonly memoryMB: number | null;
  /** Megabytes of a GPU's memory that the model may take; null: what is free. */
  readonly gpuMemoryMB: number | null;
  /** A token's experts run until this share of its router's weight is covered; 1: all of them. */
  readonly expertCoverage: number;
  /** At most this share of the parameters runs for a token; 1: no limit. */
  readonly activeShare: number;
  /** null: adapts to how fast the model answers here. */
  readonly debounceMs: number | null;
}

export type Status =
  | { readonly kind: "loading"; readonly model: string; readonly share: number }
  | {
      readonly kind: "ready";
      readonly model: string;
      readonly device: string;
      /** What its self-test says: how fast it is here, and what it can't do. And why no GPU runs it, if one should. */
      readonly says: readonly string[];
    }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

export type ErrorCode =
  | "MODEL_NOT_FOUND"
  | "MODEL_CORRUPT"
  | "MODEL_UNSUPPORTED"
  | "OUT_OF_MEMORY"
  | "DEVICE_LOST"
  | "BAD_REQUEST"
  | "ENGINE_MISSING"
  | "DOWNLOAD_FAILED"
  | "DISK_FULL"
  | "SERVER_STOPPED"
  | "INTERNAL";

/** What the server needs to know before the first settings arrive. */
export interface InitializationOptions {
  readonly settings?: Settings;
}

/** A model that the user can ask to be downloaded. */
export interface DownloadableModel {
  /** What "ringside.model" can be set to once it is here. */
  readonly id: string;
  readonly title: string;
  readonly detail: string;
  readonly downloaded: boolean;
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

/** Notification from the server while a pull is under way. */
export interface PullProgress {
  readonly id: string;
  /** Of the whole; null: not known. */
  readonly share: number | null;
  readonly message: string;
}
export const pullProgressMethod = "ringside/pullProgress";

/** Notification from the server, its parameter a Status. */
export const statusMethod = "ringside/status";
