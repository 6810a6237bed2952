// Downloading a model that the user chooses by name, with its progress in a notification.

import { type CancellationToken, type Progress, ProgressLocation, window, workspace } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  type DownloadableModel,
  modelsMethod,
  type PullParams,
  type PullProgress,
  type PullResult,
  pullMethod,
  pullProgressMethod,
} from "../server/protocol";
import { set } from "./settings";

/** Asks which model, unless `id` says so; downloads it, and chooses it. */
export async function downloadModel(client: LanguageClient, id?: string): Promise<void> {
  const models = await client.sendRequest<DownloadableModel[]>(modelsMethod);
  const model = id === undefined ? await pick(models) : models.find((one) => one.id === id);
  if (model === undefined) return;
  const result = await window.withProgress(
    {
      location: ProgressLocation.Notification,
      title: `Downloading ${model.title}`,
      cancellable: true,
    },
    (progress, token) => pull(client, model.id, progress, token),
  );
  if (result.kind === "here") await set("model", model.id);
  // Asked for by the user, so answered where the user is, unlike anything about a completion.
  if (result.kind === "failed") void window.showErrorMessage(result.message);
}

async function pick(models: readonly DownloadableModel[]): Promise<DownloadableModel | undefined> {
  const items = models.map((model) => ({
    label: model.title,
    description: model.downloaded ? "$(check) here" : "",
    detail: model.detail,
    model,
  }));
  const chosen = await window.showQuickPick(items, {
    title: "Ringside: Download a Model",
    placeHolder: "A model to download and use. Nothing else is ever fetched.",
    matchOnDetail: true,
  });
  return chosen?.model;
}

async function pull(
  client: LanguageClient,
  id: string,
  progress: Progress<{ message?: string; increment?: number }>,
  token: CancellationToken,
): Promise<PullResult> {
  let shown = 0; // percent
  const listener = client.onNotification(pullProgressMethod, (news: PullProgress) => {
    if (news.id !== id) return;
    const percent = (news.share ?? 0) * 100;
    progress.report({ message: news.message, increment: Math.max(0, percent - shown) });
    shown = Math.max(shown, percent);
  });
  const params: PullParams = { id, http: workspace.getConfiguration().get("http") };
  try {
    return await client.sendRequest<PullResult>(pullMethod, params, token);
  } catch (error) {
    if (token.isCancellationRequested) return { kind: "cancelled" };
    return { kind: "failed", code: "SERVER_STOPPED", message: `The download ended: ${error}` };
  } finally {
    listener.dispose();
  }
}
