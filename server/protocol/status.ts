// What the server says of itself.

export type Status =
  /** Completions are off, and no model was asked for since the server began: none takes memory. */
  | { readonly kind: "off" }
  | { readonly kind: "loading"; readonly model: string; readonly share: number }
  | {
      readonly kind: "ready";
      readonly model: string;
      readonly device: string;
      /** What its self-test says: how fast it is here, and what it can't do. And why no GPU runs it, if one should. */
      readonly says: readonly string[];
      /** Whether the model follows instructions; if not, it completes code only. */
      readonly canChat: boolean;
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
  | "ENDPOINT_FAILED"
  | "ENDPOINT_UNAUTHORIZED"
  | "SERVER_STOPPED"
  | "INTERNAL";

/** Notification from the server, its parameter a Status. */
export const statusMethod = "ringside/status";

/** How the last completions went, for the status item. */
export interface Activity {
  /** Of the model's writing. */
  readonly tokensPerSecond: number;
  /** Of the prompts' tokens since the server started, the share that had been read before. */
  readonly reusedShare: number;
  /** Of the last completion, from the request, the wait for more keys left out. */
  readonly lastMs: number;
}

/** Notification from the server, its parameter an Activity: after completions, at most once a second. */
export const activityMethod = "ringside/activity";
