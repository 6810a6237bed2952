// The status item: what the model is doing, at a glance; a click opens the log.

import { MarkdownString, StatusBarAlignment, type StatusBarItem, ThemeColor, window } from "vscode";
import type { Status } from "../server/protocol";

export class StatusItem {
  readonly item: StatusBarItem;
  private status: Status = { kind: "loading", model: "", share: 0 };
  private off: string | null = null;

  constructor() {
    this.item = window.createStatusBarItem("ringside.status", StatusBarAlignment.Right, 100);
    this.item.name = "Ringside";
    this.item.command = "ringside.showLog";
    this.render();
    this.item.show();
  }

  /** What the server said last. */
  get current(): Status {
    return this.status;
  }

  show(status: Status): void {
    this.status = status;
    this.render();
  }

  /** `reason`: why nothing is proposed here ("off", "off for markdown"), or null where it is. */
  showOff(reason: string | null): void {
    this.off = reason;
    this.render();
  }

  private render(): void {
    const { text, tooltip, failed } = describe(this.status, this.off);
    this.item.text = text;
    this.item.tooltip = new MarkdownString(tooltip);
    this.item.accessibilityInformation = { label: tooltip };
    const color = failed ? new ThemeColor("statusBarItem.warningBackground") : undefined;
    this.item.backgroundColor = color;
  }
}

/** What the item says of `status`. */
export function describe(
  status: Status,
  off: string | null,
): { text: string; tooltip: string; failed: boolean } {
  switch (status.kind) {
    case "loading": {
      const percent = Math.round(status.share * 100);
      const text = `$(loading~spin) Ringside ${percent} %`;
      return {
        text,
        tooltip: `Ringside is loading ${status.model || "its model"}.`,
        failed: false,
      };
    }
    case "ready": {
      const what = [`${status.model} on ${status.device}`, ...status.says].join("\n\n");
      if (off !== null) {
        return {
          text: "$(circle-slash) Ringside",
          tooltip: `Ringside is ${off}. ${what}`,
          failed: false,
        };
      }
      return { text: "$(sparkle) Ringside", tooltip: what, failed: false };
    }
    case "failed":
      return {
        text: `$(warning) Ringside ${status.code}`,
        tooltip: `${status.message}\n\nClick to open the log.`,
        failed: true,
      };
  }
}
