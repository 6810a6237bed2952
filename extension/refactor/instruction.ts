// Asks what to do: in the user's own words, as before, or ready-made.

import {
  type Memento,
  type QuickInputButton,
  type QuickPickItem,
  QuickPickItemKind,
  ThemeIcon,
  window,
} from "vscode";
import { readHistory, withInstruction } from "./history";
import { type Instruction, presets } from "./presets";

const KEY = "ringside.instructions";

interface Item extends QuickPickItem {
  readonly does?: Instruction; // a separator does nothing
}

const forget: QuickInputButton = { iconPath: new ThemeIcon("close"), tooltip: "Forget" };
const forgetAll: QuickInputButton = {
  iconPath: new ThemeIcon("clear-all"),
  tooltip: "Clear the History of Instructions",
};

export class Instructions {
  constructor(private readonly state: Memento) {}

  private get history(): string[] {
    return readHistory(this.state.get(KEY));
  }

  private keep(history: readonly string[]): Thenable<void> {
    return this.state.update(KEY, history);
  }

  clear(): Thenable<void> {
    return this.keep([]);
  }

  /**
   * Undefined if the user thinks better of it. `problems`: whether there is
   * something to fix; `value`: what stands in the box at first.
   */
  ask(problems: boolean, value = ""): Promise<Instruction | undefined> {
    const pick = window.createQuickPick<Item>();
    pick.title = "Ringside: Refactor Selection";
    pick.placeholder = "What should change? In your own words, or choose.";
    pick.matchOnDetail = true;
    pick.value = value;
    pick.buttons = [forgetAll];
    const show = () => {
      pick.items = itemsFor(pick.value, this.history, problems);
    };
    show();
    return new Promise((resolve) => {
      pick.onDidChangeValue(show);
      pick.onDidTriggerButton(async () => {
        await this.clear();
        show();
      });
      pick.onDidTriggerItemButton(async ({ item }) => {
        await this.keep(this.history.filter((one) => one !== item.does?.instruction));
        show();
      });
      pick.onDidAccept(() => {
        const does = pick.selectedItems[0]?.does;
        if (does === undefined) return;
        void this.keep(withInstruction(this.history, does.instruction));
        resolve(does);
        pick.hide();
      });
      pick.onDidHide(() => {
        pick.dispose();
        resolve(undefined);
      });
      pick.show();
    });
  }
}

/**
 * What was typed first, so that Enter means it; then what is ready-made, and what was asked before.
 * Fixing is offered where there are `problems`.
 */
function itemsFor(typed: string, history: readonly string[], problems: boolean): Item[] {
  const own = (instruction: string) => ({ preset: null, instruction });
  const words = typed.trim();
  const asTyped: Item[] =
    words === "" ? [] : [{ label: `$(edit) ${words}`, alwaysShow: true, does: own(words) }];
  const ready = presets
    .filter(({ id }) => problems || id !== "fix")
    .map(
      ({ id, title, icon }): Item => ({
        label: `$(${icon}) ${title}`,
        does: { preset: id, instruction: "" },
      }),
    );
  const before = history
    .filter((instruction) => instruction !== words)
    .map(
      (instruction): Item => ({
        label: `$(history) ${instruction}`,
        does: own(instruction),
        buttons: [forget],
      }),
    );
  const separator: Item = { label: "asked before", kind: QuickPickItemKind.Separator };
  return [...asTyped, ...ready, ...(before.length > 0 ? [separator, ...before] : [])];
}
