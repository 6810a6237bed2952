// The key of an endpoint, which the editor stores and the server asks for when it needs it.

/**
 * Request from the server to an editor that says `storesKeys` when it starts the server: the key for
 * the origin in its EndpointKeyParams, or null.
 */
export const endpointKeyMethod = "ringside/endpointKey";

export interface EndpointKeyParams {
  /** Scheme, host and port, as "https://gpu-box:8000". */
  readonly origin: string;
}

/** Notification from the editor, its parameter EndpointKeyParams: another key is stored now, or none. */
export const endpointKeyChangedMethod = "ringside/endpointKeyChanged";
