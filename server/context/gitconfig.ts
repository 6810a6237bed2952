// The settings of git that say what it ignores: core.excludesFile and core.ignoreCase, of the user or of
// a repository. Files that a config includes are not read.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Readings } from "./readings";

export interface IgnoreSettings {
  /** The file of patterns that the user has for all repositories, or for one; it may not be there. null: none is wanted. */
  readonly excludesFile: string | null;
  /** Whether a pattern means a path in any case, as git sets it where the file system does. */
  readonly ignoresCase: boolean;
}

/** What holds in the repository with this `config` and work tree, as `readings` remember it. */
export function ignoreSettingsOf(
  config: string,
  workTree: string,
  readings: Readings,
): IgnoreSettings {
  const home = homedir();
  const own = join(process.env.XDG_CONFIG_HOME || join(home, ".config"), "git");
  const files = ["/etc/gitconfig", join(own, "config"), join(home, ".gitconfig"), config];
  const texts = files.map((file) => readings.read(file, settingsIn) ?? "");
  // The last one that says anything.
  const setting = (name: string) =>
    texts.reduce<string | undefined>((value, text) => coreSetting(text, name) ?? value, undefined);
  const file = setting("excludesFile") ?? join(own, "ignore");
  const excludesFile =
    file === ""
      ? null
      : resolve(
          workTree,
          file.replace(/^~(?=\/)/, () => home),
        );
  return { excludesFile, ignoresCase: isTrue(setting("ignoreCase") ?? "false") };
}

/** What of a config's `text` is looked at here. */
function settingsIn(text: string): string {
  return JSON.stringify(
    ["excludesFile", "ignoreCase"].map((name) => coreSetting(text, name) ?? null),
  );
}

/** The setting `name` of the section core in a config's `text`, as git spells it; undefined where it is not set. */
export function coreSetting(text: string, name: string): string | undefined {
  let section = "";
  let value: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const [, header, rest = ""] = /^\s*(?:\[([^\]]*)\])?\s*(.*)$/.exec(line) ?? [];
    section = header?.trim().toLowerCase() ?? section;
    const [, key, given = "true"] = /^([a-z][a-z\d-]*)\s*(?:=(.*)|[#;].*)?$/i.exec(rest) ?? [];
    if (section === "core" && key?.toLowerCase() === name.toLowerCase()) value = unquoted(given);
  }
  return value;
}

function isTrue(value: string): boolean {
  return /^(?:true|yes|on|[+-]?0*[1-9]\d*[kmg]?)$/i.test(value);
}

/** A value without its quotes, escapes and comment. */
function unquoted(value: string): string {
  const plain = (text: string) => text.replace(/\\(.)/g, "$1");
  const parts = value.matchAll(/"((?:\\.|[^"\\])*)"|[#;].*|(?:\\.|[^"\\#;])+/g);
  return Array.from(parts, ([all, quoted]) => plain(quoted ?? (/^[#;]/.test(all) ? "" : all)))
    .join("")
    .trim();
}
