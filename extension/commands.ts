// The commands, one row each; package.json lists their titles, and a test compares the two.

import { type LogOutputChannel, type SecretStorage, window } from "vscode";
import type { Client } from "./client";
import { setEndpointKey } from "./endpoint";
import { showMenu } from "./menu";
import { chooseModel, downloadModel, removeModel } from "./models";
import { type RefactorServices, refactorCommands } from "./refactor/commands";
import { get, set } from "./settings";
import type { StatisticsPanel } from "./statistics/panel";
import type { StatusItem } from "./status";
import type { WhyPage } from "./why";

export interface CommandServices extends RefactorServices {
  readonly client: Client;
  readonly log: LogOutputChannel;
  readonly secrets: SecretStorage;
  readonly status: StatusItem;
  readonly whyPage: WhyPage;
  readonly statistics: StatisticsPanel;
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

  "ringside.restart": async ({ client, log }) => {
    // A server that does not answer is killed: that is when it is restarted most.
    const failed = (error: unknown) => log.info(`The server did not stop by itself: ${error}`);
    if (client.needsStop()) await client.stop().catch(failed);
    client.forgetEnds(); // whoever asks for it wants the model tried again
    await client.start();
  },

  "ringside.menu": ({ status }) => showMenu(status.current),

  "ringside.chooseModel": ({ client, status }) => chooseModel(client, () => status.settled()),

  "ringside.removeModel": ({ client, status }) => removeModel(client, () => status.settled()),

  "ringside.why": ({ client, whyPage }) => whyPage.show(client),

  "ringside.statistics": ({ client, statistics }) => statistics.show(client),

  "ringside.clearStatistics": ({ client, statistics }) => statistics.clear(client),

  "ringside.downloadModel": ({ client }, id) =>
    downloadModel(client, typeof id === "string" ? id : undefined),

  "ringside.setEndpointKey": ({ secrets }) => setEndpointKey(secrets),

  "ringside.showLog": ({ log }) => log.show(true),

  ...refactorCommands,
};
