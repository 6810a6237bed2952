// "Why this suggestion?": what the model was shown, what it wrote and how sure it was, as Markdown.

import type { Completion, ModelCall, Request } from "./completion";
import type { GeneratedToken } from "./generator";
import type { PromptPart, SnippetSource } from "./prompt";
import type { Settings } from "./protocol";
import { percentText } from "./units";

/** The last completion of a document. */
export interface Explained {
  readonly completion: Completion;
  readonly request: Pick<Request, "invoked" | "selected">;
  readonly settings: Pick<Settings, "eagerness">;
}

const MAX_TOKENS_SHOWN = 64;

/** What is said of `explained`; `model` is what is loaded. */
export function explanation(model: string, explained: Explained | undefined): string {
  if (explained === undefined) {
    return "# Why this suggestion?\n\nNothing has been asked for in this file since the server started.\n";
  }
  const { completion } = explained;
  const sections = [
    "# Why this suggestion?",
    outcome(explained),
    ...(completion.written === "" ? [] : [fenced(completion.written)]),
    ...(completion.calls[0] === undefined
      ? [source(completion)]
      : callText(model, completion.calls)),
  ];
  return `${sections.join("\n\n")}\n`;
}

function outcome({ completion, request, settings }: Explained): string {
  const { proposals, silence, written } = completion;
  if (silence !== null) {
    const what = written === "" ? "Nothing was proposed" : "This was not shown";
    return `${what}: ${silence}.`;
  }
  const sure = percentText(proposals[0]?.confidence ?? 0);
  const asked = request.invoked
    ? "You asked for it, so nothing was held back"
    : `The setting \`ringside.eagerness\` is "${settings.eagerness}"`;
  const list =
    request.selected === undefined
      ? ""
      : ` The list of suggestions has ${code(request.selected.text)} selected, so it goes on from there.`;
  const more = proposals.length - 1;
  const count = more === 1 ? "is 1 alternative" : `are ${more} alternatives`;
  const others = more > 0 ? ` There ${count}.` : "";
  return `This was shown. Its first line is kept in about ${sure} of such cases. ${asked}.${others}${list}`;
}

function source({ source }: Completion): string {
  return source === "cache"
    ? "It was known: the text before the cursor goes on as was proposed before, so the model was not asked."
    : "The model was not asked.";
}

function callText(model: string, calls: readonly ModelCall[]): string[] {
  const { prompt, generated, prepareMs } = calls[0]!;
  const { promptTokens, reusedTokens, generatedTokens } = generated;
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const times = [
    ["choosing and encoding the context", prepareMs],
    ["going back to what was read before", generated.truncateMs],
    [`reading ${promptTokens - reusedTokens} tokens`, generated.readMs],
    [`writing ${generatedTokens} tokens`, generated.decodeMs],
  ] as const;
  return [
    "## What the model was shown",
    `${model} was shown ${promptTokens} tokens. ${reusedTokens} of them had been read before.`,
    table(
      ["Part", "File", "Tokens", "Read before"],
      prompt.parts.map((part) => partRow(part, reusedTokens)),
    ),
    "## How sure it was",
    generated.tokens.length === 0
      ? "The endpoint does not say."
      : table(["Token", "Probability"], generated.tokens.slice(0, MAX_TOKENS_SHOWN).map(tokenRow)),
    "## How long it took",
    table(
      ["Step", "Time"],
      times.map(([step, value]) => [step, ms(value)]),
    ),
  ];
}

const sources: Readonly<Record<SnippetSource, string>> = {
  tab: "like the code here, from an open tab",
  edit: "edited lately",
  visited: "looked at lately",
  import: "imported here",
  definition: "defines what is used here",
  symbol: "defines what is named here",
};

function partRow({ kind, source, path, start, end }: PromptPart, reused: number): string[] {
  const kinds = {
    snippet: source === null ? "Other code" : `Other code: ${sources[source]}`,
    path: "The file's name",
    suffix: "What follows the cursor",
    prefix: "What stands before the cursor",
  };
  const before = Math.max(0, Math.min(end, reused) - start);
  return [kinds[kind], code(path), String(end - start), String(before)];
}

function tokenRow({ text, logProbability }: GeneratedToken): string[] {
  return [code(JSON.stringify(text).slice(1, -1)), percentText(Math.exp(logProbability))];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|"); // a bar would end it, in code too
  const row = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
}

/** `text` as inline code, whatever it holds. */
function code(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const space = /^`|`$|^ .* $|^$/.test(text) ? " " : "";
  return `${fence}${space}${text}${space}${fence}`;
}

function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
