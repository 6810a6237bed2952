// The extension: starts the server when the first text document opens, and shows its state.

import {
  type ExtensionContext,
  type Uri,
  commands as vscodeCommands,
  window,
  workspace,
} from "vscode";
import {
  excludedMethod,
  type Statistics,
  statisticsMethod,
  whyMethod,
  type WhyParams,
} from "../server/protocol";
import { createClient } from "./client";
import { commands } from "./commands";
import { registerActions } from "./refactor/actions";
import { RefactorController } from "./refactor/controller";
import { Instructions } from "./refactor/instruction";
import { offerKeys } from "./endpoint";
import { StatisticsPanel } from "./statistics/panel";
import { followEditor, StatusItem } from "./status";
import { WhyPage, whyScheme } from "./why";

/** What the extension tells of itself: for its own tests, and for other extensions. */
export interface Api {
  /** What the server said last. */
  readonly status: StatusItem["current"];
  readonly statusText: string;
  /** Why the last completion of a document was what it was, as Markdown. */
  why(uri: Uri): Promise<string>;
  statistics(): Promise<Statistics>;
}

let stop: () => Thenable<void> = () => Promise.resolve();

export async function activate(context: ExtensionContext): Promise<Api> {
  const log = window.createOutputChannel("Ringside", { log: true });
  const status = new StatusItem();
  const client = createClient(context, log, {
    status: (next) => status.show(next),
    activity: (next) => status.showActivity(next),
  });
  const { secrets } = context;
  const whyPage = new WhyPage();
  const statistics = new StatisticsPanel();
  const refactor = new RefactorController(client, new Instructions(context.globalState));
  const services = { client, log, secrets, status, whyPage, statistics, refactor };
  stop = () => (client.needsStop() ? client.stop() : Promise.resolve());

  context.subscriptions.push(
    log,
    status.item,
    refactor,
    registerActions(() => status.current),
    ...offerKeys(client, secrets),
    workspace.registerTextDocumentContentProvider(whyScheme, whyPage),
    ...followEditor(status, (uri) => {
      const params: WhyParams = { uri: client.code2ProtocolConverter.asUri(uri) };
      return client.sendRequest<string | null>(excludedMethod, params);
    }),
    ...Object.entries(commands).map(([name, run]) =>
      vscodeCommands.registerCommand(name, (argument?: unknown) => run(services, argument)),
    ),
  );

  // Not awaited: the editor goes on while the server starts, and the status says how far it is.
  client.start().catch((error: unknown) => {
    const message = `The server did not start: ${error}`;
    log.error(message);
    status.show({ kind: "failed", code: "SERVER_STOPPED", message });
  });
  return {
    get status() {
      return status.current;
    },
    get statusText() {
      return status.item.text;
    },
    why: (uri) => client.sendRequest(whyMethod, { uri: String(uri) }),
    statistics: () => client.sendRequest(statisticsMethod),
  };
}

export function deactivate(): Thenable<void> {
  return stop();
}
