// What the server says of itself.

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
  | "ENDPOINT_FAILED"
  | "ENDPOINT_UNAUTHORIZED"
  | "SERVER_STOPPED"
  | "INTERNAL";

/** Notification from the server, its parameter a Status. */
export const statusMethod = "ringside/status";
