// Settings as they arrive, made whole: what is missing or of a wrong type is the default's.

import manifest from "../package.json";
import type { Settings } from "./protocol";

const properties = manifest.contributes.configuration.properties as Readonly<
  Record<
    string,
    {
      readonly default: unknown;
      readonly minimum?: number;
      readonly maximum?: number;
      readonly enum?: readonly string[];
    }
  >
>;

/** The defaults, read from package.json: they stand nowhere else. A text that is empty there is none. */
export const defaultSettings: Settings = Object.fromEntries(
  Object.entries(properties).map(([key, { default: value }]) => [
    key.replace(/^ringside\./, ""),
    value === "" ? null : value,
  ]),
) as unknown as Settings;

/** Whether `value` is a whole number that package.json allows for the setting. */
function isCount(key: keyof Settings, value: unknown): boolean {
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = properties[`ringside.${key}`]!;
  return Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum;
}

/** Whether `value` is a number that package.json allows for the setting. */
function isInRange(key: keyof Settings, value: unknown): boolean {
  const { minimum = 0, maximum = Number.MAX_VALUE } = properties[`ringside.${key}`]!;
  return typeof value === "number" && value >= minimum && value <= maximum;
}

function isTextOrNull(value: unknown): boolean {
  return value === null || (typeof value === "string" && value !== "");
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isAddressOrNull(value: unknown): boolean {
  return value === null || (isTextOrNull(value) && /^https?:\/\/./i.test(String(value)));
}

/** Whether `value` is one of those that package.json lists for the setting. */
function isOneOf(key: keyof Settings, value: unknown): boolean {
  return typeof value === "string" && properties[`ringside.${key}`]!.enum!.includes(value);
}

const accepts: { readonly [Key in keyof Settings]: (value: unknown) => boolean } = {
  enabled: (value) => typeof value === "boolean",
  disabledLanguages: isTexts,
  model: isTextOrNull,
  modelsDirectory: isTextOrNull,
  mirror: isAddressOrNull,
  device: (value) => isOneOf("device", value),
  threads: (value) => isCount("threads", value),
  contextTokens: (value) => isCount("contextTokens", value),
  maxTokens: (value) => isCount("maxTokens", value),
  maxLines: (value) => value === null || isCount("maxLines", value),
  memoryMB: (value) => value === null || isCount("memoryMB", value),
  gpuMemoryMB: (value) => value === null || isCount("gpuMemoryMB", value),
  expertCoverage: (value) => isInRange("expertCoverage", value),
  activeShare: (value) => isInRange("activeShare", value),
  debounceMs: (value) => value === null || isCount("debounceMs", value),
  eagerness: (value) => isOneOf("eagerness", value),
  silentIn: (value) =>
    Array.isArray(value) && value.every((item) => item === "comment" || item === "string"),
  excludedFiles: isTexts,
  endpoint: isAddressOrNull,
  endpointModel: isTextOrNull,
};

/** `value` as Settings; `onProblem` hears of each entry that is not as it should be. */
export function readSettings(value: unknown, onProblem: (message: string) => void): Settings {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const result: Record<string, unknown> = { ...defaultSettings };
  for (const key of Object.keys(accepts) as (keyof Settings)[]) {
    if (given[key] === undefined) continue;
    // The editor's fields for texts have no other way to be empty.
    const value = given[key] === "" && defaultSettings[key] === null ? null : given[key];
    if (accepts[key](value)) result[key] = value;
    else {
      const used = JSON.stringify(defaultSettings[key]);
      onProblem(
        `The setting "ringside.${key}" can't be ${JSON.stringify(given[key])}; using ${used}.`,
      );
    }
  }
  return result as unknown as Settings;
}
