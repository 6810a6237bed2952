// The commands, one row each; package.json lists their titles, and a test compares the two.

import { type LogOutputChannel, window } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { downloadModel } from "./models";
import { get, set } from "./settings";

export interface CommandServices {
  readonly client: LanguageClient;
  readonly log: LogOutputChannel;
}

export const commands: Readonly<
  Record<string, (services: CommandServices, argument?: unknown) => Promise<void> | void>
> = {
  "ringside.toggle": () => set("enabled", !get("enabled")),

  "ringside.toggleLanguage": () => {
    const languageId = window.activeTextEditor?.document.languageId;
    if (languageId === undefined) return;
    const disabled = get("disabledLanguages");
    const rest = disabled.filter((other) => other !== languageId);
    return set("disabledLanguages", rest.length < disabled.length ? rest : [...rest, languageId]);
  },

  "ringside.restart": async ({ client }) => {
    if (client.needsStop()) await client.stop();
    await client.start();
  },

  "ringside.downloadModel": ({ client }, id) =>
    downloadModel(client, typeof id === "string" ? id : undefined),

  "ringside.showLog": ({ log }) => log.show(true),
};
