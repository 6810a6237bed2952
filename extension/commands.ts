// The commands, one row each; package.json lists their titles, and a test compares the two.

import { type LogOutputChannel, type SecretStorage, window } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { setEndpointKey } from "./endpoint";
import { downloadModel } from "./models";
import { get, set } from "./settings";

export interface CommandServices {
  readonly client: LanguageClient;
  readonly log: LogOutputChannel;
  readonly secrets: SecretStorage;
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

  "ringside.setEndpointKey": ({ secrets }) => setEndpointKey(secrets),

  "ringside.showLog": ({ log }) => log.show(true),
};
