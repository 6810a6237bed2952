import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import fc from "fast-check";
import manifest from "../../package.json";
import { defaultSettings, readSettings } from "../../server/settings";

const properties = manifest.contributes.configuration.properties;

/** Reads `value`; the settings that were replaced, by name. */
function check(value: unknown, replaced: readonly string[]) {
  const problems: string[] = [];
  const settings = readSettings(value, (message) => problems.push(message));
  const named = problems.map((message) => /"ringside\.(\w+)"/.exec(message)?.[1]);
  assert.deepEqual(named, replaced);
  for (const key of replaced as (keyof typeof settings)[]) {
    assert.deepEqual(settings[key], defaultSettings[key]);
  }
  return settings;
}

suite("settings", () => {
  test("has package.json's defaults, and every key of the type", () => {
    const source = readFileSync(join(__dirname, "../../server/protocol/settings.ts"), "utf8");
    const body = /interface Settings \{([\s\S]*?)\n\}/.exec(source)![1]!;
    const keys = [...body.matchAll(/readonly (\w+):/g)].map(([, key]) => key!);
    assert.deepEqual(Object.keys(properties).sort(), keys.map((key) => `ringside.${key}`).sort());
    for (const [key, { default: value }] of Object.entries(properties)) {
      const name = key.replace("ringside.", "") as keyof typeof defaultSettings;
      assert.deepEqual(defaultSettings[name], value === "" ? null : value);
    }
  });
  test("accepts its own defaults", () =>
    assert.deepEqual(check(defaultSettings, []), defaultSettings));
  test("takes what is given", () => assert.equal(check({ maxTokens: 7 }, []).maxTokens, 7));
  test("takes each device, and a GPU's memory", () => {
    for (const device of ["auto", "cpu", "cuda"]) check({ device }, []);
    for (const gpuMemoryMB of [null, 64, 24_000]) check({ gpuMemoryMB }, []);
    for (const gpuMemoryMB of [0, 63, 1e12, 100.5, "8000"]) check({ gpuMemoryMB }, ["gpuMemoryMB"]);
  });
  test("replaces what is wrong and says so", () => {
    const bad = { enabled: "yes", model: 3, device: "gpu", threads: -1, maxTokens: 0 };
    check(bad, ["enabled", "model", "device", "threads", "maxTokens"]);
    check({ modelsDirectory: 1, mirror: "models.example.com" }, ["modelsDirectory", "mirror"]);
    check({ disabledLanguages: [1], contextTokens: 1, debounceMs: Number.NaN }, [
      "disabledLanguages",
      "contextTokens",
      "debounceMs",
    ]);
  });
  test("takes an empty text, and null, for none", () => {
    for (const none of ["", null]) {
      const { model, endpoint, mirror } = check({ model: none, endpoint: none, mirror: none }, []);
      assert.deepEqual([model, endpoint, mirror], [null, null, null]);
    }
    check({ device: "" }, ["device"]);
  });
  test("replaces a number that is no whole one", () => {
    const bad = { threads: 1.5, contextTokens: 100.5, maxTokens: 2.5, maxLines: 1.5 };
    check(bad, Object.keys(bad));
  });
  test("replaces a number beyond what package.json allows", () => {
    const bad = { threads: 1e9, contextTokens: 1e9, maxTokens: 1e9, maxLines: 0, debounceMs: 1e9 };
    check(bad, Object.keys(bad));
  });
  test("makes whole settings of anything", () =>
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const settings = readSettings(value, () => {});
        assert.deepEqual(Object.keys(settings).sort(), Object.keys(defaultSettings).sort());
      }),
    ));
});
