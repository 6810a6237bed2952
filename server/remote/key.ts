// Where an endpoint's key comes from. Never from the settings: those are shared and synchronized.

/** The key for an origin such as "https://gpu-box:8000"; null: there is none. */
export type KeyOf = (origin: string) => Promise<string | null>;

/** For editors that store none: from the environment. */
export const environmentKey: KeyOf = async () => {
  const key = process.env.RINGSIDE_ENDPOINT_KEY?.trim() ?? "";
  return key === "" ? null : key;
};
