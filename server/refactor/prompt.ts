// What a model that follows instructions is told: the code at the margin, what stands around it as far
// as the context allows, and one instruction.

import type { Message } from "../chat";
import { shortPath } from "../document";
import { RingsideError } from "../errors";
import type { Sizes } from "../prompt";
import type { RefactorPreset, RefactorProblem } from "../protocol";
import { lineStart, positionOf, unixBreaks } from "../lines";
import { dedent, type Span } from "./text";

export interface Instructed {
  readonly uri: string;
  readonly languageId: string;
  /** The whole document's. */
  readonly text: string;
  readonly target: Span;
  readonly instruction: string;
  readonly preset: RefactorPreset | null;
  readonly problems: readonly RefactorProblem[];
}

export interface ChatPrompt {
  readonly messages: readonly Message[];
  /** The code as the messages show it. */
  readonly code: string;
  /** The most that the answer may take, in tokens. */
  readonly maxTokens: number;
}

export interface Room {
  /** Tokens that the model reads and writes at most. */
  readonly contextTokens: number;
  /** Tokens for what stands around the code at most. */
  readonly surroundingTokens: number;
}

const presets: Readonly<Record<Exclude<RefactorPreset, "rewrite">, string>> = {
  addTypes:
    "Add types to what has none: parameters, results, and variables whose type can't be seen. Change nothing else.",
  extractFunction:
    "Extract the parts that do something of their own into functions with telling names, and call them. Keep what the code does.",
  simplify: "Make this code simpler and easier to read. Keep what it does.",
  document:
    "Write a documentation comment, in the language's usual form, for what is declared here. Change no code.",
  writeTests:
    "Keep this code as it is, and write tests for it below, with the language's usual test framework.",
  fix: "Fix these problems. Change nothing else.",
};

const system =
  "You change code. You are shown a piece of a file and an instruction. Answer with the whole piece as it " +
  "is once the instruction is carried out, in one code block, and with nothing else: no explanation, no " +
  "other code. Keep what you are not asked to change as it is, comments too.";

const ANSWER_SHARE = 1.25; // of the code's tokens, that an answer takes at least
const ANSWER_GROWTH = 2; // times the code, and these tokens more, is what it may take
const ANSWER_TOKENS = 512;
const TEMPLATE_TOKENS = 64; // of a chat template, around both messages
const BEFORE_SHARE = 0.75; // of what stands around the code, as in a completion's prompt
const MAX_LINE = 1000; // characters; of a longer line around the code nothing is shown

/** The messages for `asked` within `room`. Throws BAD_REQUEST if the code is too long for the model. */
export function chatPromptOf(asked: Instructed, room: Room, sizes: Sizes): ChatPrompt {
  const code = dedent(unixBreaks(asked.text.slice(asked.target.start, asked.target.end)));
  const count = sizes.ofText;
  const codeTokens = count(code);
  const bare = count(system) + count(userMessage(asked, code, " ", " ")) + TEMPLATE_TOKENS;
  const left = room.contextTokens - bare;
  if (left < codeTokens * ANSWER_SHARE) {
    throw new RingsideError(
      "BAD_REQUEST",
      `The code takes ${codeTokens} tokens, and has to fit twice into the model's context of ` +
        `${room.contextTokens}. Select less code, or set "ringside.contextTokens" higher.`,
    );
  }
  const wanted = codeTokens * ANSWER_GROWTH + ANSWER_TOKENS;
  const maxTokens = Math.floor(Math.min(wanted, left));
  const around = Math.min(room.surroundingTokens, left - maxTokens);
  const before = linesBefore(asked.text.slice(0, asked.target.start), around * BEFORE_SHARE, sizes);
  const after = linesAfter(asked.text.slice(asked.target.end), around - before.tokens, sizes);
  const content = userMessage(asked, code, before.text, after.text);
  const messages: Message[] = [
    { role: "system", content: system },
    { role: "user", content },
  ];
  return { messages, code, maxTokens };
}

function userMessage(asked: Instructed, code: string, before: string, after: string): string {
  const { uri, languageId } = asked;
  const fence = fenceFor(before + code + after);
  const fenced = (text: string) => `${fence}${languageId}\n${text}\n${fence}`;
  return [
    `The file is ${shortPath(uri)}.`,
    before === "" ? "" : `Before the code stands, for you to know:\n${fenced(before)}`,
    after === "" ? "" : `Behind it stands:\n${fenced(after)}`,
    `The code to change:\n${fenced(code)}`,
    instructionOf(asked),
    "Answer with the changed code alone, in one code block.",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** The user's words, then the preset's, then what is wrong with the code. */
function instructionOf({ instruction, preset, problems, text, target }: Instructed): string {
  const own = instruction.trim();
  if (preset === null || preset === "rewrite") return own;
  if (preset !== "fix") return [presets[preset], own].join("\n").trim();
  const first = positionOf(text, target.start).line;
  const last = positionOf(text, target.end).line;
  const lines = text.split("\n");
  const rows = problems
    .filter(({ line }) => line >= first && line <= last)
    .map(({ line, message }) => `- in \`${lines[line]!.trim()}\`: ${message}`);
  const what = rows.length === 0 ? "Fix what is wrong with this code." : presets.fix;
  return [what, ...rows, own].join("\n").trim();
}

/** A fence that nothing in `text` can end. */
function fenceFor(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map(([run]) => run.length));
  return "`".repeat(longest + 1);
}

interface Shown {
  readonly text: string;
  readonly tokens: number;
}

/** The last lines of `text` that `budget` tokens hold, the last break left out. */
function linesBefore(text: string, budget: number, sizes: Sizes): Shown {
  const kept: string[] = [];
  let tokens = 0;
  let end = text.length;
  while (end > 0) {
    const start = lineStart(text, end - 1);
    const line = text.slice(start, end);
    tokens += line.length > MAX_LINE ? Infinity : sizes.ofLine(line);
    if (tokens > budget) break;
    kept.push(line);
    end = start;
  }
  return shown(kept.reverse().join(""), sizes);
}

/** The first lines of `text` that `budget` tokens hold, the rest of the first line left out. */
function linesAfter(text: string, budget: number, sizes: Sizes): Shown {
  const from = text.indexOf("\n") + 1;
  if (from === 0) return { text: "", tokens: 0 };
  let end = from;
  let tokens = 0;
  while (end < text.length) {
    const stop = text.indexOf("\n", end) + 1 || text.length;
    tokens += stop - end > MAX_LINE ? Infinity : sizes.ofLine(text.slice(end, stop));
    if (tokens > budget) break;
    end = stop;
  }
  return shown(text.slice(from, end), sizes);
}

function shown(text: string, sizes: Sizes): Shown {
  const clean = unixBreaks(text).replace(/^\n+/, "").trimEnd();
  return { text: clean, tokens: clean === "" ? 0 : sizes.ofText(clean) };
}
