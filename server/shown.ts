// What becomes of a proposal that is shown, read from the edits alone: every editor sends those.

const LOOKED_AT = 64; // characters of what stands behind
/** What one key may write: its character, or beside it the new line's indentation, or what closes a bracket or quote. */
const ONE_KEY = /^(?:\p{Any}|\n[ \t]*|\(\)|\[\]|\{\}|""|''|``)$/u;

export interface ShownAt {
  readonly uri: string;
  /** UTF-16 offset of the cursor that it was shown at. */
  readonly offset: number;
  readonly text: string;
  /** What the user can go on to instead; not given: nothing. */
  readonly alternatives?: readonly string[];
  /** What stands behind the cursor; not given: not known. It may begin as the proposal goes on, and is no part of it. */
  readonly behind?: string;
}

/** What an edit did to the proposal that was shown. */
export type Outcome =
  /** A key was typed that wrote `characters` just as proposed: one, or what the editor adds by itself too. */
  | { readonly kind: "typed"; readonly characters: number }
  /** `characters` of the `proposal` came at once; `whole`: to its end. */
  | {
      readonly kind: "accepted";
      readonly characters: number;
      readonly whole: boolean;
      readonly proposal: string;
    };

/** The one proposal that is shown: an editor has one cursor that is looked at. */
export class ShownProposal {
  private current: ShownAt | null = null;
  private followed = 0; // characters of it that stand in the document by now
  private end = 0; // of them, an offset of the document: its line breaks may be \r\n

  /** Whether it is a new proposal, not the rest of the one before. */
  show(next: ShownAt): boolean {
    const { current, followed, end } = this;
    const goesOn =
      current !== null &&
      current.uri === next.uri &&
      end === next.offset &&
      current.text.slice(followed) === next.text;
    if (goesOn) return false;
    this.current = next;
    this.followed = 0;
    this.end = next.offset;
    return true;
  }

  /** `text` is what the document at `uri` holds now; null: the proposal has no part in the edit. */
  edited(uri: string, text: string): Outcome | null {
    const { current } = this;
    if (current === null || current.uri !== uri) return null;
    const { offset, text: first, alternatives = [], behind = "" } = current;
    const start = text.length - behind.length; // of it, if all that was edited is before it
    const most = text.startsWith(behind.slice(0, LOOKED_AT), start) ? start : text.length;
    // The one of which most stands there: which one is shown, only the editor knows.
    const [{ proposal, common, end }] = [first, ...alternatives]
      .map((each) => ({ proposal: each, ...follow(text, offset, most, each) }))
      .sort((a, b) => b.common - a.common) as [Followed];
    const characters = common - this.followed;
    this.followed = common;
    this.end = end;
    if (common === proposal.length) this.current = null;
    if (characters <= 0) return null;
    if (ONE_KEY.test(proposal.slice(common - characters, common))) {
      return { kind: "typed", characters };
    }
    return { kind: "accepted", characters, whole: common === proposal.length, proposal };
  }

  gone(): void {
    this.current = null;
  }
}

interface Followed {
  readonly proposal: string;
  readonly common: number;
  readonly end: number;
}

/** How many characters of `proposal`, whose line breaks are \n, stand in `text` from `offset` up to `most`, and where they end. */
function follow(
  text: string,
  offset: number,
  most: number,
  proposal: string,
): Omit<Followed, "proposal"> {
  let common = 0;
  let end = offset;
  while (common < proposal.length) {
    const at = proposal[common] === "\n" && text.startsWith("\r\n", end) ? end + 1 : end;
    if (at >= most || text[at] !== proposal[common]) break;
    common++;
    end = at + 1;
  }
  return { common, end };
}
