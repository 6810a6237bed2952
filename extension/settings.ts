// The settings that the extension itself reads and changes; the server asks for the rest.

import { type ConfigurationScope, ConfigurationTarget, type TextDocument, workspace } from "vscode";
import type { Settings } from "../server/protocol";

function section(scope?: ConfigurationScope) {
  return workspace.getConfiguration("ringside", scope);
}

export function get<Key extends keyof Settings>(key: Key): Settings[Key] {
  const value = section().get<Settings[Key]>(key)!; // package.json has a default for each
  return value === "" ? (null as Settings[Key]) : value; // a text that is none
}

/** Changes a setting where it is set now: in the workspace if it is set there, else for the user. */
export async function set<Key extends keyof Settings>(
  key: Key,
  value: Settings[Key],
): Promise<void> {
  const { workspaceValue, defaultValue } = section().inspect(key) ?? {};
  const target =
    workspaceValue === undefined ? ConfigurationTarget.Global : ConfigurationTarget.Workspace;
  await section().update(key, value === null && defaultValue === "" ? "" : value, target);
}

/**
 * What the user excludes, what the workspace does, and its folder `scope`: none can show a model what
 * another keeps from it.
 */
export function allExcludedFiles(scope?: ConfigurationScope): string[] {
  const { globalValue, workspaceValue, workspaceFolderValue, defaultValue } =
    section(scope).inspect<string[]>("excludedFiles") ?? {};
  const lists = [defaultValue, globalValue, workspaceValue, workspaceFolderValue];
  return [...new Set(lists.flatMap((list) => (Array.isArray(list) ? list : [])))];
}

/** Why VS Code shows no proposal in the document, or null where it does. */
export function unshownBecause({ uri, languageId }: TextDocument): string | null {
  const editor = workspace.getConfiguration("editor", { uri, languageId });
  return editor.get<boolean>("inlineSuggest.enabled") === false
    ? 'not shown here: "editor.inlineSuggest.enabled" is off'
    : null;
}

/** Why nothing is proposed in `languageId`, or null where it is. */
export function offBecause(languageId: string | undefined): string | null {
  if (!get("enabled")) return "off";
  if (languageId === undefined) return null;
  return get("disabledLanguages").includes(languageId) ? `off for ${languageId}` : null;
}
