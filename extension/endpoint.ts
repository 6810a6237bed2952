// The endpoint's key: kept by the editor's secret storage, one for each origin, and told to the server
// when it asks. It is never in the settings, which are shared and synchronized.

import { type Disposable, type SecretStorage, window } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  type EndpointKeyParams,
  endpointKeyChangedMethod,
  endpointKeyMethod,
} from "../server/protocol";
import { get } from "./settings";

const PREFIX = "ringside.endpointKey:";

/** Answers the server's requests for keys, and tells it of keys that are stored anew, in any window. */
export function offerKeys(client: LanguageClient, secrets: SecretStorage): Disposable[] {
  return [
    client.onRequest(endpointKeyMethod, async ({ origin }: EndpointKeyParams) => {
      return (await secrets.get(PREFIX + origin)) ?? null;
    }),
    secrets.onDidChange(({ key }) => {
      if (!key.startsWith(PREFIX) || !client.isRunning()) return;
      const params: EndpointKeyParams = { origin: key.slice(PREFIX.length) };
      void client.sendNotification(endpointKeyChangedMethod, params);
    }),
  ];
}

/** Asks for the key of the endpoint that is set, and stores it; an empty one is removed. */
export async function setEndpointKey(secrets: SecretStorage): Promise<void> {
  const endpoint = get("endpoint");
  // Without http:// in front, "gpu-box:8000/v1" is an address too: of the scheme "gpu-box:".
  if (endpoint === null || !/^https?:/i.test(endpoint) || !URL.canParse(endpoint)) {
    // Asked for by the user, so answered where the user is.
    void window.showErrorMessage(
      'Set "ringside.endpoint" to the endpoint\'s address first, such as http://gpu-box:8000/v1.',
    );
    return;
  }
  const { origin } = new URL(endpoint);
  const key = await window.showInputBox({
    title: "Ringside: Set the Endpoint's Key",
    prompt: `The key for ${origin}. Leave it empty to remove the one that is stored.`,
    password: true,
    ignoreFocusOut: true,
  });
  if (key === undefined) return;
  if (key.trim() === "") await secrets.delete(PREFIX + origin);
  else await secrets.store(PREFIX + origin, key.trim());
}
