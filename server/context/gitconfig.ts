// The one setting of git that says what it ignores: core.excludesFile, of the user or of a repository.
// Files that a config includes are not read.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * The file of patterns that the user has for all repositories, or for the one with this `config` and work
 * tree; it may not be there. null: none is wanted.
 */
export function excludesFileOf(config: string, workTree: string): string | null {
  const home = homedir();
  const own = join(process.env.XDG_CONFIG_HOME || join(home, ".config"), "git");
  let file: string | undefined;
  for (const path of ["/etc/gitconfig", join(own, "config"), join(home, ".gitconfig"), config]) {
    file = excludesFileIn(textOf(path) ?? "") ?? file; // the last one that says anything
  }
  if (file === undefined) return join(own, "ignore");
  return file === ""
    ? null
    : resolve(
        workTree,
        file.replace(/^~(?=\/)/, () => home),
      );
}

/** core.excludesFile in a config's `text`, as git spells it; undefined where it is not set. */
export function excludesFileIn(text: string): string | undefined {
  let section = "";
  let value: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const [, header, rest = ""] = /^\s*(?:\[([^\]]*)\])?\s*(.*)$/.exec(line) ?? [];
    section = header?.trim().toLowerCase() ?? section;
    const [, given] = /^excludesfile\s*=(.*)$/i.exec(rest) ?? [];
    if (section === "core" && given !== undefined) value = unquoted(given);
  }
  return value;
}

/** A value without its quotes, escapes and comment. */
function unquoted(value: string): string {
  const plain = (text: string) => text.replace(/\\(.)/g, "$1");
  const parts = value.matchAll(/"((?:\\.|[^"\\])*)"|[#;].*|(?:\\.|[^"\\#;])+/g);
  return Array.from(parts, ([all, quoted]) => plain(quoted ?? (/^[#;]/.test(all) ? "" : all)))
    .join("")
    .trim();
}

/** null: there is no such file, or it can't be read: git would go on without it, too. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
