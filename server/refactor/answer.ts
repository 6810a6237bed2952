// From what a chat model wrote to the code that it means: models are asked for one fenced block, and
// write thoughts before it, prose around it, several blocks, or no fence at all.

import { unixBreaks } from "../lines";
import { blank } from "./text";

export type Answer =
  | { readonly kind: "code"; readonly text: string }
  /** It says that there is nothing to change. */
  | { readonly kind: "unchanged" }
  /** It says something else. Empty: nothing, or nothing yet. */
  | { readonly kind: "prose"; readonly text: string };

export interface Asked {
  /** The code that was shown to the model. */
  readonly original: string;
  readonly languageId: string;
  /** Whether the model has written all that it will. */
  readonly complete: boolean;
}

interface Block {
  /** What stands behind the opening fence: mostly a language. */
  readonly info: string;
  readonly text: string;
}

/** What `answer`, or as much as there is of it, holds. Line breaks are \n. */
export function readAnswer(answer: string, asked: Asked): Answer {
  const { complete, original } = asked;
  const said = withoutThoughts(unixBreaks(answer), complete);
  const lines = said.split("\n");
  // What may become a fence is not shown as code until it is known not to.
  if (!complete && /^[ \t]*[`~]/.test(lines.at(-1)!)) lines.pop();
  const blocks = blocksOf(lines, complete);
  if (blocks.length > 0) {
    const text = trimLines(meant(blocks, original));
    return text === "" ? { kind: "prose", text: "" } : { kind: "code", text };
  }
  return unfenced(lines.join("\n"), asked);
}

const thoughtOpens = /^\s*<(think|thinking|thought|reasoning)>/i;
// Where the prompt itself opens the thought, only its end is written.
const thoughtEnds = /<\/(think|thinking|thought|reasoning)>[ \t]*(?=\n|$)/i;

function withoutThoughts(answer: string, complete: boolean): string {
  let rest = answer;
  for (let open = thoughtOpens.exec(rest); open !== null; open = thoughtOpens.exec(rest)) {
    const close = `</${open[1]!.toLowerCase()}>`;
    const end = rest.toLowerCase().indexOf(close);
    if (end === -1) return "";
    rest = rest.slice(end + close.length);
  }
  const stray = thoughtEnds.exec(rest);
  const opened =
    stray !== null &&
    rest.slice(0, stray.index).toLowerCase().includes(`<${stray[1]!.toLowerCase()}>`);
  if (stray !== null && !opened) rest = rest.slice(stray.index + stray[0].length);
  return !complete && /^\s*<\w*$/.test(rest) ? "" : rest;
}

const fenceLine = /^((?:[-*]|\d+\.)?[ \t]*)(`{3,}|~{3,})[ \t]*([^`]*?)[ \t]*$/;
const oneLine = /^[ \t]*(`{3,})[ \t]*([^`]+?)[ \t]*\1[ \t]*$/;

/** The fenced blocks of `lines`; the last one may lack its end. */
function blocksOf(lines: readonly string[], complete: boolean): Block[] {
  const { blocks, open } = scan(lines, true);
  if (open === null) return blocks;
  // A fence with a language inside of an open block is a block in it, if all of them end.
  if (complete) {
    const flat = scan(lines, false);
    return flat.open === null ? flat.blocks : [...flat.blocks, unclosed(flat.open)];
  }
  return [...blocks, unclosed(open)];
}

interface Open {
  readonly info: string;
  readonly indent: number;
  readonly fence: string;
  readonly lines: string[];
  depth: number; // of the blocks inside it
}

function scan(lines: readonly string[], nested: boolean): { blocks: Block[]; open: Open | null } {
  const blocks: Block[] = [];
  const lastBare = lines.findLastIndex((line) => fenceLine.exec(line)?.[3] === "");
  let open: Open | null = null;
  lines.forEach((line, i) => {
    const [, white = "", fence = "", info = ""] = fenceLine.exec(line) ?? [];
    if (open === null) {
      const inline = oneLine.exec(line);
      if (inline !== null) blocks.push({ info: "", text: inline[2]! });
      else if (fence !== "") open = { info, indent: white.length, fence, lines: [], depth: 0 };
      return;
    }
    const isFence = fence[0] === open.fence[0] && white.length <= open.indent;
    const bare = isFence && info === "" && fence.length >= open.fence.length;
    const inMarkdown = /^(markdown|md|mdx)\b/i.test(open.info);
    if (bare && open.depth === 0 && (!inMarkdown || i === lastBare)) {
      blocks.push({ info: open.info, text: open.lines.join("\n") });
      open = null;
    } else if (isFence && info !== "" && !nested) {
      blocks.push({ info: open.info, text: open.lines.join("\n") });
      open = { info, indent: white.length, fence, lines: [], depth: 0 };
    } else {
      if (isFence && info !== "") open.depth++;
      else if (bare && open.depth > 0) open.depth--;
      open.lines.push(line);
    }
  });
  return { blocks, open };
}

/** A block whose end is missing, or stands at the end of its last line. */
function unclosed({ info, lines, fence }: Open): Block {
  const text = lines.join("\n").trimEnd();
  return { info, text: text.endsWith(fence) ? text.slice(0, -fence.length) : text };
}

const shell = /^(sh|bash|shell|zsh|console|powershell|ps1|terminal|text|diff|output)\b/i;

/** Of several blocks, the one that has most of the original's lines, and is not the original. */
function meant(blocks: readonly Block[], original: string): string {
  const wanted = new Set(linesOf(original));
  const isOriginal = ({ text }: Block) => linesOf(text).join() === linesOf(original).join();
  const filled = blocks.filter(({ text }) => !blank(text));
  const code = filled.filter(({ info }) => !shell.test(info));
  const changed = code.filter((block) => !isOriginal(block));
  const candidates = [changed, code, filled, blocks].find(({ length }) => length > 0)!;
  const score = ({ text }: Block) => new Set(linesOf(text).filter((line) => wanted.has(line))).size;
  const better = (a: Block, b: Block) =>
    score(b) > score(a) || (score(b) === score(a) && b.text.length > a.text.length) ? b : a;
  return candidates.reduce(better).text;
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const prose = new Set(["markdown", "plaintext", "latex", "restructuredtext", "asciidoc"]);
const noChange =
  /\bno (further |other |code )?changes?\b|\bnothing (left )?to (change|fix|do|simplify|add)\b|\balready (is |has |uses |well|correct|simple|typed|fully|documented)|\b(not|n't) (need|require)\b/i;

/** An answer without any fence: its code without the sentences around it. */
function unfenced(text: string, { languageId, complete }: Asked): Answer {
  if (prose.has(languageId)) return { kind: "code", text: trimLines(text) };
  const lines = text.split("\n");
  const isAside = (line: string) => blank(line) || isSentence(line);
  const first = lines.findIndex((line) => !isAside(line));
  if (first === -1) {
    if (complete && noChange.test(text)) return { kind: "unchanged" };
    return { kind: "prose", text: complete ? text.trim() : "" };
  }
  // A sentence that is being written has no end to be known by.
  if (!complete && first === lines.length - 1 && mayBecomeSentence(lines[first]!)) {
    return { kind: "prose", text: "" };
  }
  const last = lines.findLastIndex((line) => !isAside(line));
  return { kind: "code", text: trimLines(lines.slice(first, last + 1).join("\n")) };
}

/** Whether `line` is said to the reader: it starts as a sentence does, has words, and ends as one. */
function isSentence(line: string): boolean {
  const words = line.replace(/`[^`]*`/g, "x").trim();
  if (!/^(\*\*|[-*] )?["'(]?[A-Z]/.test(words) || /[{}[\];=<>]/.test(words)) return false;
  if (/^[A-Z]{2,}\b/.test(words)) return false; // SQL
  const ends = /[.:!?]["')*]*$/.test(words);
  if (ends) return /[A-Za-z]+[,!]? \w+/.test(words) || /^\w+[!:.]$/.test(words);
  return !/[().:]/.test(words) && /^(\S+ ){3,}\S+$/.test(words);
}

const mayBecomeSentence = (line: string) => /^["'*-]*\s?[A-Z][\w ,'’`-]*$/.test(line);

/** `text` without blank lines before and behind it, and white space at its end. */
function trimLines(text: string): string {
  return text.replace(/^(?:[ \t]*\n)+/, "").trimEnd();
}
