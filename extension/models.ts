// Choosing a model: one that is here, one to download, a file, or an endpoint; and what it is worth here.

import {
  type CancellationToken,
  type OpenDialogOptions,
  type Progress,
  ProgressLocation,
  type QuickPickItem,
} from "vscode";
import { QuickPickItemKind, window, workspace } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  type DownloadableModel,
  modelsMethod,
  type PullParams,
  type PullProgress,
  type PullResult,
  pullMethod,
  pullProgressMethod,
  type RemoveResult,
  removeMethod,
  type Status,
} from "../server/protocol";
import { get, set } from "./settings";

/** Settles once a model that was asked for is ready or could not be loaded. */
export type Loaded = () => Promise<Status>;

interface ModelItem extends QuickPickItem {
  readonly choose: () => Promise<boolean>; // whether a model was chosen
}

/** Asks which model completes, gets it if it is not here, and says what it is worth on this machine. */
export async function chooseModel(client: LanguageClient, loaded: Loaded): Promise<void> {
  const models = await client.sendRequest<DownloadableModel[]>(modelsMethod);
  const chosen = await window.showQuickPick(itemsOf(client, models), {
    title: "Ringside: Choose a Model",
    placeHolder: "Everything runs on this machine, unless you choose an endpoint",
    matchOnDetail: true,
    matchOnDescription: true,
  });
  if (chosen === undefined || !("choose" in chosen)) return;
  if (await (chosen as ModelItem).choose()) await sayVerdict(loaded);
}

/** Asks which model, unless `id` says so; downloads it, and chooses it. */
export async function downloadModel(client: LanguageClient, id?: string): Promise<void> {
  const models = await client.sendRequest<DownloadableModel[]>(modelsMethod);
  const model = id === undefined ? await pick(models) : models.find((one) => one.id === id);
  if (model !== undefined) await download(client, model);
}

function itemsOf(
  client: LanguageClient,
  models: readonly DownloadableModel[],
): (ModelItem | QuickPickItem)[] {
  const current = get("endpoint") === null ? get("model") : undefined;
  const separator = (label: string) => ({ label, kind: QuickPickItemKind.Separator });
  const inUse = (model: string | null) => (current === model ? "$(check) in use" : "");
  const here = models.filter(({ downloaded }) => downloaded);
  const rank = { quick: 0, fits: 1, slow: 2, tooLarge: 3 };
  const others = models
    .filter(({ downloaded }) => !downloaded)
    .sort(
      (a, b) =>
        Number(b.recommended) - Number(a.recommended) ||
        rank[a.advice.level] - rank[b.advice.level],
    );
  const row = (model: DownloadableModel, choose: ModelItem["choose"]): ModelItem => ({
    label: `${model.recommended ? "$(star-full) " : ""}${model.title}`,
    description: [inUse(model.id), model.recommended ? "recommended here" : ""]
      .filter(Boolean)
      .join(" "),
    detail: `${model.advice.says}; ${model.detail}`,
    choose,
  });
  return [
    separator("On this machine"),
    {
      label: "Ringside small",
      description: inUse(null),
      detail: "Comes with Ringside: small, at once, offline",
      choose: () => use(null),
    },
    ...here.map((model) => row(model, () => use(model.id))),
    {
      label: "$(file) A file...",
      detail: "A .gguf file",
      choose: () => choosePath({ filters: { Models: ["gguf"], "All files": ["*"] } }),
    },
    {
      label: "$(folder-opened) A folder...",
      detail: "With config.json, tokenizer.json and safetensors",
      choose: () => choosePath({ canSelectFiles: false, canSelectFolders: true }),
    },
    separator("To download"),
    ...others.map((model) => row(model, () => download(client, model))),
    separator("On another machine"),
    {
      label: "$(globe) An OpenAI-compatible endpoint...",
      description: get("endpoint") === null ? "" : `$(check) in use: ${get("endpoint")}`,
      detail: "vLLM, SGLang, llama.cpp, Ollama: your code is sent to the host that you name",
      choose: chooseEndpoint,
    },
  ];
}

async function use(model: string | null): Promise<boolean> {
  await set("model", model); // first: without the endpoint, the model of before would be loaded
  if (get("endpoint") !== null) await set("endpoint", null);
  return true;
}

/** `options` say whether it is a file or a folder: on Windows and Linux a dialog that takes both takes folders alone. */
async function choosePath(options: OpenDialogOptions): Promise<boolean> {
  const [path] = (await window.showOpenDialog({ title: "The model", ...options })) ?? [];
  return path !== undefined && use(path.fsPath);
}

async function chooseEndpoint(): Promise<boolean> {
  const address = await window.showInputBox({
    title: "Ringside: An OpenAI-compatible Endpoint",
    prompt: "Your code is sent to this host, and to no other. Empty: none",
    placeHolder: "http://localhost:11434/v1",
    value: get("endpoint") ?? "",
    validateInput: (text) =>
      text.trim() === "" || /^https?:\/\/[^\s/]+/i.test(text.trim())
        ? null
        : "An address such as http://gpu-box:8000/v1",
  });
  if (address === undefined) return false;
  await set("endpoint", address.trim() === "" ? null : address.trim());
  return true;
}

async function sayVerdict(loaded: Loaded): Promise<void> {
  const status = await window.withProgress(
    { location: ProgressLocation.Notification, title: "Ringside: loading and trying the model" },
    loaded,
  );
  // Asked for by the user, so answered where the user is, unlike anything about a completion.
  if (status.kind === "failed") void window.showErrorMessage(status.message);
  if (status.kind !== "ready") return;
  const says = [`${status.model} is ready on ${status.device}.`, ...status.says];
  void window.showInformationMessage(says.join(" "));
}

async function download(client: LanguageClient, model: DownloadableModel): Promise<boolean> {
  const result = await window.withProgress(
    {
      location: ProgressLocation.Notification,
      title: `Downloading ${model.title}`,
      cancellable: true,
    },
    (progress, token) => pull(client, model.id, progress, token),
  );
  if (result.kind === "failed") void window.showErrorMessage(result.message);
  return result.kind === "here" && use(model.id);
}

async function pick(models: readonly DownloadableModel[]): Promise<DownloadableModel | undefined> {
  const items = models.map((model) => ({
    label: model.title,
    description: model.downloaded ? "$(check) here" : "",
    detail: `${model.advice.says}; ${model.detail}`,
    model,
  }));
  const chosen = await window.showQuickPick(items, {
    title: "Ringside: Download a Model",
    placeHolder: "A model to download and use. Nothing else is ever fetched.",
    matchOnDetail: true,
  });
  return chosen?.model;
}

/** Asks which of the downloaded models, and once more whether; one that is in use gives way first. */
export async function removeModel(client: LanguageClient, loaded: Loaded): Promise<void> {
  const models = await client.sendRequest<DownloadableModel[]>(modelsMethod);
  const here = models.filter(({ downloaded }) => downloaded);
  if (here.length === 0) {
    void window.showInformationMessage("No model was downloaded by Ringside.");
    return;
  }
  const items = here.map((model) => ({
    label: model.title,
    description: get("model") === model.id ? "$(check) in use" : "",
    detail: model.detail,
    model,
  }));
  const title = "Ringside: Delete a Downloaded Model";
  const model = (await window.showQuickPick(items, { title }))?.model;
  if (model === undefined) return;
  const detail = "It can be downloaded again.";
  const answer = await window.showWarningMessage(
    `Delete ${model.title} from this machine?`,
    { modal: true, detail },
    "Delete",
  );
  if (answer !== "Delete") return;
  if (get("model") === model.id) {
    await use(null);
    await loaded(); // until then its files are open, and Windows deletes none that is
  }
  const result = await client.sendRequest<RemoveResult>(removeMethod, { id: model.id });
  if (result.kind === "failed") void window.showErrorMessage(result.message);
  else void window.showInformationMessage(`${model.title} is deleted: ${result.says}`);
}

/** What hears of the downloads under way. */
const pulls = new Set<(news: PullProgress) => void>();

async function pull(
  client: LanguageClient,
  id: string,
  progress: Progress<{ message?: string; increment?: number }>,
  token: CancellationToken,
): Promise<PullResult> {
  let shown = 0; // percent
  const hear = (news: PullProgress) => {
    if (news.id !== id) return;
    const percent = (news.share ?? 0) * 100;
    progress.report({ message: news.message, increment: Math.max(0, percent - shown) });
    shown = Math.max(shown, percent);
  };
  pulls.add(hear);
  // One for all of them: a client keeps one listener for each method.
  client.onNotification(pullProgressMethod, (news: PullProgress) => {
    for (const each of pulls) each(news);
  });
  const params: PullParams = { id, http: workspace.getConfiguration().get("http") };
  try {
    return await client.sendRequest<PullResult>(pullMethod, params, token);
  } catch (error) {
    if (token.isCancellationRequested) return { kind: "cancelled" };
    return { kind: "failed", code: "SERVER_STOPPED", message: `The download ended: ${error}` };
  } finally {
    pulls.delete(hear);
  }
}
