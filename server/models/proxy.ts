// The proxy that downloads go through: VS Code's settings if they name one, else the environment's.

/** VS Code's `http.*` settings, as far as they are about proxies. */
export interface ProxySettings {
  /** null: HTTPS_PROXY and HTTP_PROXY. */
  readonly proxy: string | null;
  /** Empty: NO_PROXY. */
  readonly noProxy: readonly string[];
  readonly strictSsl: boolean;
  /** The Proxy-Authorization header. */
  readonly authorization: string | null;
}

export const environmentProxy: ProxySettings = {
  proxy: null,
  noProxy: [],
  strictSsl: true,
  authorization: null,
};

/** Reads the `http` section of VS Code's settings; what is missing or of a wrong type is left out. */
export function readProxySettings(http: unknown): ProxySettings {
  const given = (typeof http === "object" && http !== null ? http : {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : null);
  const { noProxy } = given;
  return {
    proxy: text(given.proxy),
    noProxy: Array.isArray(noProxy) ? noProxy.filter((host) => typeof host === "string") : [],
    strictSsl: given.proxyStrictSSL !== false,
    authorization: text(given.proxyAuthorization),
  };
}
