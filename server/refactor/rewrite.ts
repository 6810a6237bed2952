// A block written anew from what stands around it, as a completion is: for any model, also one that
// follows no instructions.

import type Parser from "tree-sitter";
import { cursorAt, limits } from "../completion";
import type { OpenDocument } from "../document";
import { finish, indentOf, lastLine } from "../finish";
import type { Generator } from "../generator";
import { languageOf } from "../languages";
import { buildPrompt, type Cursor, sizesIn } from "../prompt";
import type { Settings } from "../protocol";
import { cursorSyntax, parse } from "../syntax";
import { MAX_PARSED } from "../trees";
import { ancestors, nodeAt, targetOf } from "./target";
import { unixBreaks } from "../lines";
import { blank, type Span } from "./text";

const GROWTH = 2; // times the block, and these tokens more, is what it may become
const MORE_TOKENS = 64;
const SAME_LINES = 3; // that come again at once: the model goes round in circles
const TEMPERATURE = 0.6; // of attempts beyond the first; colder ones mostly say the same again

/** What is written anew: the lines that are selected, else the body of the function around the cursor. */
export function blockOf(text: string, tree: Parser.Tree | null, selected: Span): Span | null {
  const body = selected.start < selected.end ? null : bodyAt(text, tree, selected.start);
  const span = body ?? targetOf(text, tree, selected);
  if (span === null) return null;
  const covered = text.slice(span.start, span.end);
  const lead = covered.length - covered.trimStart().length; // the first line's indentation stays
  return { start: span.start + lead, end: span.start + Math.max(lead, covered.trimEnd().length) };
}

function bodyAt(text: string, tree: Parser.Tree | null, offset: number): Span | null {
  if (tree === null) return null;
  for (const node of ancestors(nodeAt(text, tree.rootNode, offset))) {
    const isFunction = /function|method|constructor|lambda|closure|func_literal/.test(node.type);
    const body = isFunction && node.isNamed ? node.childForFieldName("body") : null;
    if (body === null) continue;
    const braces = text[body.startIndex] === "{" && text[body.endIndex - 1] === "}";
    const start = body.startIndex + (braces ? 1 : 0);
    const end = body.endIndex - (braces ? 1 : 0);
    return blank(text.slice(start, end)) ? null : { start, end };
  }
  return null;
}

export interface Rewriting {
  readonly document: OpenDocument;
  readonly target: Span;
  readonly attempt: number;
}

interface Rewriters {
  readonly engine: Generator;
  readonly settings: Settings;
}

/** What stands in the target's place instead, its line breaks \n. Rejects as generate does. */
export async function rewrite(
  { document, target, attempt }: Rewriting,
  { engine, settings }: Rewriters,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { text, languageId } = document;
  const before = unixBreaks(text.slice(target.start, target.end));
  const around = text.slice(0, target.start) + text.slice(target.end);
  const cursor = cursorAt({ ...document, text: around }, target.start);
  const { vocabulary, contextTokens } = engine;
  const wanted = sizesIn(vocabulary).ofText(before) * GROWTH + MORE_TOKENS;
  const maxTokens = Math.min(wanted, Math.floor(contextTokens / 2));
  const budget = limits({ ...settings, maxTokens }, null, contextTokens);
  const tree = around.length > MAX_PARSED ? null : parse(languageId, around);
  const { features } = cursorSyntax(languageId, tree, around, target.start);
  const generated = await engine.generate(
    buildPrompt(cursor, [], budget, vocabulary),
    {
      maxTokens,
      features,
      singleLine: !before.includes("\n") && !blank(lastLine(cursor.prefix)),
      until: (written) => {
        const enough = wholeBlock(written, cursor);
        onText(enough ?? written);
        return enough;
      },
      ...(attempt > 0 && { temperature: TEMPERATURE, seed: attempt }),
    },
    signal,
  );
  const language = languageOf(languageId);
  return finish(generated.text, {
    ...cursor,
    ...(language && { lineComment: language.lineComment }),
  });
}

/** What to keep of `text` once it goes beyond its block or round in circles; null: it goes on. */
export function wholeBlock(text: string, { prefix }: Pick<Cursor, "prefix">): string | null {
  const lines = text.split("\n");
  const indent = indentOf(lastLine(prefix));
  const outside = lines.findIndex(
    (line, i) => i > 0 && i < lines.length - 1 && !blank(line) && indentOf(line) < indent,
  );
  if (outside > 0) return lines.slice(0, outside).join("\n").trimEnd();
  const last = lines.at(-2)?.trim() ?? "";
  const same = lines.slice(-2 - SAME_LINES, -1).filter((line) => line.trim() === last).length;
  return last !== "" && same > SAME_LINES ? lines.slice(0, -1 - SAME_LINES).join("\n") : null;
}
