// The statistics page's panel: one, brought up to date each time it is asked for.

import { randomBytes } from "node:crypto";
import { ViewColumn, type WebviewPanel, window } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { clearStatisticsMethod, type Statistics, statisticsMethod } from "../../server/protocol";
import { statisticsPage } from "./page";

const commandUris = ["ringside.statistics", "ringside.clearStatistics"]; // all that the page can do

export class StatisticsPanel {
  private panel: WebviewPanel | null = null;

  async show(client: LanguageClient): Promise<void> {
    if (this.panel === null) {
      const options = {
        enableScripts: false,
        enableCommandUris: commandUris,
        localResourceRoots: [],
      };
      const column = ViewColumn.Active;
      this.panel = window.createWebviewPanel("ringside.statistics", "Ringside", column, options);
      this.panel.onDidDispose(() => {
        this.panel = null;
      });
    }
    this.panel.reveal();
    await this.refresh(client);
  }

  /** Forgets all counts, once the user has said so twice. */
  async clear(client: LanguageClient): Promise<void> {
    const clear = "Clear";
    const detail = "All counts are forgotten. Nothing else changes.";
    const options = { modal: true, detail };
    const answer = await window.showWarningMessage("Clear the statistics?", options, clear);
    if (answer !== clear) return;
    await client.sendRequest(clearStatisticsMethod);
    await this.refresh(client);
  }

  private async refresh(client: LanguageClient): Promise<void> {
    const statistics = await client.sendRequest<Statistics>(statisticsMethod);
    if (this.panel === null) return;
    this.panel.webview.html = statisticsPage(statistics, randomBytes(16).toString("base64url"));
  }
}
