// "Why this suggestion?": what the server says of the last completion, as a page beside the code.

import {
  EventEmitter,
  type TextDocumentContentProvider,
  Uri,
  commands as vscodeCommands,
  window,
} from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { type WhyParams, whyMethod } from "../server/protocol";

export const whyScheme = "ringside-why";
const page = Uri.from({ scheme: whyScheme, path: "/Why this suggestion.md" });

/** The page's text, which changes each time that it is asked for. */
export class WhyPage implements TextDocumentContentProvider {
  private readonly changed = new EventEmitter<Uri>();
  readonly onDidChange = this.changed.event;
  private text = "";

  provideTextDocumentContent(): string {
    return this.text;
  }

  async show(client: LanguageClient): Promise<void> {
    const document = window.activeTextEditor?.document;
    if (document === undefined) {
      void window.showInformationMessage("Open the file whose suggestion you want explained.");
      return;
    }
    const params: WhyParams = { uri: client.code2ProtocolConverter.asUri(document.uri) };
    this.text = await client.sendRequest<string>(whyMethod, params);
    this.changed.fire(page);
    await vscodeCommands.executeCommand("markdown.showPreviewToSide", page);
  }
}
