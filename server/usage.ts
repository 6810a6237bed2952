// What becomes of the proposals, from request to edit: counted, and looked at again a minute later.

import type { Completion } from "./completion";
import { type ShownAt, ShownProposal } from "./shown";
import type { Statistics } from "./statistics";

const LOOK_AGAIN_MS = 60_000; // who undoes a proposal does so by then

export class Usage {
  private readonly shown = new ShownProposal();
  private readonly timers = new Set<NodeJS.Timeout>();

  /** `textOf`: what an open document holds now, undefined once it is closed. */
  constructor(
    private readonly statistics: Statistics,
    private readonly textOf: (uri: string) => string | undefined,
  ) {}

  /** The request at `at` was answered. */
  answered(
    { proposals, source, silence, written, calls, ms }: Completion,
    at: Pick<ShownAt, "uri" | "offset" | "behind">,
  ): void {
    for (const { generated } of calls) {
      const { promptTokens, reusedTokens, generatedTokens, decodeMs } = generated;
      this.statistics.add({ modelCalls: 1, promptTokens, reusedTokens, generatedTokens, decodeMs });
    }
    if (calls.length > 0) this.statistics.took(ms);
    if (source === "cache") this.statistics.add({ known: 1 });
    const [first, ...others] = proposals;
    if (first === undefined) {
      this.shown.gone();
      // What is known is asked about again, and is the same proposal.
      const isHeldBack = silence !== null && written !== "" && calls.length > 0;
      if (isHeldBack) this.statistics.add({ heldBack: 1 });
      return;
    }
    const alternatives = others.map(({ text }) => text);
    if (this.shown.show({ ...at, text: first.text, alternatives })) {
      this.statistics.add({ shown: 1 });
    }
  }

  /** A document was edited and holds `text` now. */
  edited(uri: string, text: string): void {
    const outcome = this.shown.edited(uri, text);
    if (outcome === null) return;
    const { characters } = outcome;
    if (outcome.kind === "typed") {
      this.statistics.add({ typedAlong: characters });
      return;
    }
    this.statistics.add({ acceptedCharacters: characters });
    if (!outcome.whole) return;
    this.statistics.add({ accepted: 1 });
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      const now = this.textOf(uri);
      if (now !== undefined) {
        this.statistics.add({ lookedFor: 1, kept: Number(holds(now, outcome.proposal)) });
      }
    }, LOOK_AGAIN_MS);
    this.timers.add(timer.unref());
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.statistics.save();
  }
}

/** Whether `text` has every line of `proposal` in it, however they are indented by now. */
function holds(text: string, proposal: string): boolean {
  const lines = proposal.split("\n").map((line) => line.trim());
  return lines.every((line) => text.includes(line));
}
