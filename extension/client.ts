// Starts the server and keeps it running. Nothing here ever raises a popup: what is wrong is shown by
// the status item, and told in the log.

import { join } from "node:path";
import { type ExtensionContext, type LogOutputChannel, Uri } from "vscode";
import {
  CloseAction,
  ErrorCodes,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  TransportKind,
} from "vscode-languageclient/node";
import {
  type Activity,
  activityMethod,
  type InitializationOptions,
  type Status,
  statusMethod,
} from "../server/protocol";
import { codeSchemes } from "./schemes";
import { allExcludedFiles } from "./settings";
import { answerDefinitions } from "./definitions";

const RESTARTS = 5; // within WINDOW_MS; a server that dies more often is broken, not unlucky
const WINDOW_MS = 180_000;
const ENDS = 2; // while a model is loaded, after which it is not tried again

/** The server's client, which goes without a model that ends the server until it is told to forget. */
export interface Client extends LanguageClient {
  forgetEnds(): void;
}

/** What the extension hears of the server. */
export interface Listeners {
  status(status: Status): void;
  activity(activity: Activity): void;
}

/** vscode-languageclient raises popups of its own, such as where a server that ended does not come back. */
class QuietClient extends LanguageClient implements Client {
  /** What the server was loading when it was last heard of. */
  loading: string | null = null;
  private endsWhileLoading = 0;

  get modelEndsServer(): boolean {
    return this.endsWhileLoading >= ENDS;
  }

  /** The server ended by itself: what it was loading then. */
  ended(): string | null {
    const { loading } = this;
    this.loading = null;
    if (loading !== null) this.endsWhileLoading++;
    return loading;
  }

  forgetEnds(): void {
    this.endsWhileLoading = 0;
  }

  override error(message: string, data?: unknown): void {
    super.error(message, data, false); // told in the log; the status says what is wrong
  }
}

export function createClient(
  context: ExtensionContext,
  log: LogOutputChannel,
  listeners: Listeners,
): Client {
  const module = join(context.extensionPath, "dist", "server.js");
  const ended: number[] = []; // times at which the server ended by itself
  const client: QuietClient = new QuietClient(
    "ringside",
    "Ringside",
    { module, transport: TransportKind.ipc },
    {
      documentSelector: codeSchemes.map((scheme) => ({ scheme })),
      initializationOptions: (): InitializationOptions => ({
        storage: context.globalStorageUri.fsPath,
        definitions: true,
        storesKeys: true,
        modelEndsServer: client.modelEndsServer,
      }),
      outputChannel: log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      synchronize: { configurationSection: "ringside" },
      initializationFailedHandler: (error) => {
        const { code } = (error ?? {}) as { code?: unknown };
        // Where the server ended meanwhile, the error handler has said more of it.
        if (code !== ErrorCodes.PendingResponseRejected) {
          listeners.status({ kind: "failed", code: "SERVER_STOPPED", message: String(error) });
        }
        return false;
      },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          const now = Date.now();
          ended.push(now);
          const recently = ended.filter((time) => now - time < WINDOW_MS).length;
          const again = recently <= RESTARTS;
          const loading = client.ended();
          const message = again
            ? `The server ended${loading === null ? "" : ` while it loaded ${loading},`} and is being started again.`
            : `The server ended ${recently} times in three minutes. See the log, then run ` +
              `"Ringside: Restart the Server".`;
          log.info(message);
          listeners.status({ kind: "failed", code: "SERVER_STOPPED", message });
          return { action: again ? CloseAction.Restart : CloseAction.DoNotRestart, handled: true };
        },
      },
      middleware: {
        workspace: {
          configuration: async (params, token, next) => {
            const answers = await next(params, token);
            if (!Array.isArray(answers)) return answers;
            return params.items.map(({ section, scopeUri }, i) => {
              if (section !== "ringside") return answers[i];
              const scope = scopeUri === undefined ? undefined : Uri.parse(scopeUri);
              return { ...answers[i], excludedFiles: allExcludedFiles(scope) };
            });
          },
        },
        // A request that is under way when the server ends is rejected: nothing to show for it.
        provideInlineCompletionItems: async (document, position, asked, token, next) => {
          try {
            return await next(document, position, asked, token);
          } catch (error) {
            log.info(`No completion: ${error}`);
            return [];
          }
        },
      },
    },
  );
  client.onNotification(statusMethod, (status: Status) => {
    client.loading = status.kind === "loading" ? status.model : null;
    listeners.status(status);
  });
  client.onNotification(activityMethod, (activity: Activity) => listeners.activity(activity));
  answerDefinitions(client);
  return client;
}
