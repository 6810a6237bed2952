// The ready-made instructions, as the user reads them.

import type { RefactorPreset } from "../../server/protocol";

export interface Preset {
  readonly id: RefactorPreset;
  readonly title: string;
  readonly icon: string;
}

/** In the order in which they are offered. */
export const presets: readonly Preset[] = [
  { id: "fix", title: "Fix the problems here", icon: "wrench" },
  { id: "simplify", title: "Simplify", icon: "filter" },
  { id: "addTypes", title: "Add types", icon: "symbol-interface" },
  { id: "extractFunction", title: "Extract functions", icon: "symbol-method" },
  { id: "document", title: "Document", icon: "comment" },
  { id: "writeTests", title: "Write tests", icon: "beaker" },
  { id: "rewrite", title: "Rewrite from what is around it", icon: "sync" },
];

export interface Instruction {
  readonly preset: RefactorPreset | null;
  readonly instruction: string;
}

const TITLE = 40; // characters: a tab has little room

/** What is done, in a few words. */
export function titleOf({ preset, instruction }: Instruction): string {
  const words = instruction.trim() || presets.find(({ id }) => id === preset)?.title || "Refactor";
  const line = words.replace(/\s+/g, " ");
  return line.length <= TITLE ? line : `${line.slice(0, TITLE - 1).trimEnd()}…`;
}
