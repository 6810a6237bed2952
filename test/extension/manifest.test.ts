// package.json and the code must say the same.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { documentSchemes } from "../../extension/schemes";
import manifest from "../../package.json";
import { languageOf } from "../../server/languages";

const source = ["commands.ts", "refactor/commands.ts"]
  .map((file) => readFileSync(join(__dirname, "../../extension", file), "utf8"))
  .join("\n");
const properties = Object.entries(manifest.contributes.configuration.properties);

/** The names of the settings for which `holds` is false. */
function check(holds: (setting: Record<string, unknown>, key: string) => boolean) {
  assert.deepEqual(
    properties.filter(([key, setting]) => !holds(setting, key)).map(([key]) => key),
    [],
  );
}

suite("manifest", () => {
  test("lists the commands that there are", () => {
    const keys = [...source.matchAll(/^ {2}"(ringside\.\w+)":/gm)].map(([, key]) => key);
    assert.ok(keys.length > 0);
    assert.deepEqual(
      manifest.contributes.commands.map(({ command }) => command).sort(),
      keys.sort(),
    );
  });
  test("gives every command a title and the category", () => {
    for (const { title, category } of manifest.contributes.commands) {
      assert.ok(title.length > 3);
      assert.equal(category, "Ringside");
    }
  });
  test("names no command in menus and keys that is not there", () => {
    const own = new Set(manifest.contributes.commands.map(({ command }) => command));
    const { menus, keybindings } = manifest.contributes;
    const used = [...Object.values(menus).flat(), ...keybindings].flatMap((entry) =>
      "command" in entry ? [entry.command] : [],
    );
    const ours = used.filter((command) => command.startsWith("ringside."));
    assert.ok(ours.length > 0);
    assert.deepEqual(
      ours.filter((command) => !own.has(command)),
      [],
    );
  });
  test("takes no key from the find widget, nor Tab from the list of suggestions", () => {
    for (const { key, when } of manifest.contributes.keybindings) {
      const clauses = when.split(" && ");
      assert.ok(clauses.includes("editorTextFocus"), when);
      if (key === "tab") assert.ok(clauses.includes("!suggestWidgetVisible"), when);
    }
  });
  test("shows each button of an editor's title as an icon", () => {
    const { commands, menus } = manifest.contributes;
    for (const { command } of menus["editor/title"]) {
      const icon = commands.find((one) => one.command === command)?.icon;
      assert.match(icon ?? "", /^\$\([a-z-]+\)$/);
    }
  });
  test("describes each setting, with a default and an order", () => {
    check(({ markdownDescription }) => /^[A-Z][\s\S]{10,}\.$/.test(String(markdownDescription)));
    check((setting) => "default" in setting);
    assert.deepEqual(
      properties.map(([, { order }]) => order),
      properties.map((_, i) => i + 1),
    );
  });
  test("has a field for each setting that is one value", () =>
    // The editor's page of settings has none for what may be a text or null.
    check(({ type }) => !([type].flat().includes("string") && Array.isArray(type))));
  test("opens no new file in which nothing is proposed", () => {
    const { walkthroughs, configuration } = manifest.contributes;
    const off = configuration.properties["ringside.disabledLanguages"].default;
    const texts = walkthroughs.flatMap(({ steps }) => steps.map(({ description }) => description));
    const opens = texts.flatMap((text) => [...text.matchAll(/newUntitledFile\??([^)]*)\)/g)]);
    assert.ok(opens.length > 0);
    for (const [, argument] of opens) {
      const { languageId } = JSON.parse(decodeURIComponent(argument!));
      assert.ok(!off.includes(languageId) && languageOf(languageId) !== undefined);
    }
  });
  test("bounds each number", () =>
    check(({ type, minimum, maximum }) => {
      const isNumber = [type].flat().includes("integer");
      return !isNumber || (typeof minimum === "number" && typeof maximum === "number");
    }));
  test("keeps an untrusted workspace from naming files", () => {
    const { supported, restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    assert.equal(supported, "limited");
    assert.deepEqual(restrictedConfigurations, [
      "ringside.model",
      "ringside.modelsDirectory",
      "ringside.mirror",
      "ringside.endpoint",
      "ringside.endpointModel",
    ]);
  });
  test("offers refactoring where it works", () => {
    const items = manifest.contributes.menus["editor/context"];
    const [, schemes] = /resourceScheme =~ \/\^\((.*)\)\$\//.exec(items[0]!.when) ?? [];
    assert.deepEqual(schemes?.split("|"), documentSchemes);
  });
  test("starts with the first file, not with the window", () =>
    assert.deepEqual(manifest.activationEvents, ["onLanguage"]));
  test("shows no image that packaging refuses", () => {
    const readme = readFileSync(join(__dirname, "../../README.md"), "utf8");
    assert.deepEqual(readme.match(/!\[[^\]]*\]\([^)]*\.svg\)/g), null);
  });
});
