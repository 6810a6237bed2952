// The status item: what the model is doing, at a glance; a click opens the menu.

import {
  type Disposable,
  StatusBarAlignment,
  type StatusBarItem,
  ThemeColor,
  type Uri,
  window,
  workspace,
} from "vscode";
import type { Activity, Status } from "../server/protocol";
import { offBecause, unshownBecause } from "./settings";

const UNCHANGED_MS = 3000; // a server that has anything to load says so at once

export class StatusItem {
  readonly item: StatusBarItem;
  private status: Status = { kind: "loading", model: "", share: 0 };
  private activity: Activity | null = null;
  private off: string | null = null;
  private readonly waiting = new Set<(status: Status) => void>();
  /** A model is there now. */
  onReady: () => void = () => {};

  constructor() {
    this.item = window.createStatusBarItem("ringside.status", StatusBarAlignment.Right, 100);
    this.item.name = "Ringside";
    this.item.command = "ringside.menu";
    this.render();
    this.item.show();
  }

  /** What the server said last. */
  get current(): Status {
    return this.status;
  }

  /**
   * What comes of a model that was just asked for: the next status that is not "loading". One that was
   * loaded already says nothing new, so after a while the last one counts.
   */
  settled(): Promise<Status> {
    return new Promise((resolve) => {
      const unchanged = setTimeout(() => done(this.status), UNCHANGED_MS);
      const done = (status: Status) => {
        clearTimeout(unchanged);
        this.waiting.delete(hear);
        resolve(status);
      };
      const hear = (status: Status) => {
        clearTimeout(unchanged);
        if (status.kind !== "loading") done(status);
      };
      this.waiting.add(hear);
    });
  }

  show(status: Status): void {
    for (const hear of [...this.waiting]) hear(status);
    if (status.kind === "loading") this.activity = null;
    this.status = status;
    this.render();
    if (status.kind === "ready") this.onReady();
  }

  showActivity(activity: Activity): void {
    this.activity = activity;
    this.render();
  }

  /** `reason`: why nothing is proposed here ("off", "off for markdown"), or null where it is. */
  showOff(reason: string | null): void {
    this.off = reason;
    this.render();
  }

  private render(): void {
    const { text, tooltip, failed } = describe(this.status, this.off, this.activity);
    this.item.text = text;
    this.item.tooltip = tooltip; // no Markdown: paths and a server's words are in it
    this.item.accessibilityInformation = { label: tooltip };
    const color = failed ? new ThemeColor("statusBarItem.warningBackground") : undefined;
    this.item.backgroundColor = color;
  }
}

/**
 * Has `status` say whether anything is proposed where the user is now, and from now on. `excluded` tells
 * why no model is shown a document; null: it may be.
 */
export function followEditor(
  status: StatusItem,
  excluded: (uri: Uri) => Promise<string | null>,
): Disposable[] {
  let looks = 0;
  const show = async () => {
    const look = ++looks;
    const document = window.activeTextEditor?.document;
    const off = offBecause(document?.languageId) ?? (document && unshownBecause(document)) ?? null;
    status.showOff(off);
    if (document === undefined || off !== null || status.current.kind !== "ready") return;
    const because = await excluded(document.uri).catch(() => null); // the server has ended: its status says so
    if (look === looks && because !== null) status.showOff(`silent in this file: ${because}`);
  };
  status.onReady = show;
  void show();
  return [
    window.onDidChangeActiveTextEditor(show),
    workspace.onDidChangeConfiguration(show),
    // Again, when its language is changed; others are opened by hundreds, as by a search.
    workspace.onDidOpenTextDocument((opened) => {
      if (opened === window.activeTextEditor?.document) void show();
    }),
  ];
}

/** What the item says of `status`. */
export function describe(
  status: Status,
  off: string | null,
  activity: Activity | null,
): { text: string; tooltip: string; failed: boolean } {
  switch (status.kind) {
    case "off":
      return {
        text: "$(circle-slash) Ringside",
        tooltip: said(["Ringside is off."]),
        failed: false,
      };
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
      const lines = [`${status.model} on ${status.device}`, ...status.says];
      if (activity !== null) lines.push(activityText(activity));
      if (off === null) return { text: "$(sparkle) Ringside", tooltip: said(lines), failed: false };
      const tooltip = said([`Ringside is ${off}.`, ...lines]);
      return { text: "$(circle-slash) Ringside", tooltip, failed: false };
    }
    case "failed":
      return {
        text: `$(warning) Ringside ${status.code}`,
        tooltip: said([status.message]),
        failed: true,
      };
  }
}

function said(lines: readonly string[]): string {
  return [...lines, "Click for what can be done."].join("\n\n");
}

function activityText({ tokensPerSecond, reusedShare, lastMs }: Activity): string {
  const reused = Math.round(reusedShare * 100);
  return (
    `Writes ${tokensPerSecond} tokens/s; ${reused} % of what it was shown had been read before; ` +
    `the last completion took ${Math.round(lastMs)} ms.`
  );
}
