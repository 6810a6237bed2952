// The request, top to bottom: from a selection and an instruction to what stands there instead.

import type { OpenDocument } from "../document";
import { coded, isAbort } from "../errors";
import type { Generator } from "../generator";
import { sizesIn } from "../prompt";
import {
  cantChat,
  type RefactorParams,
  type RefactorProgress,
  type RefactorResult,
  type RefusalCode,
  type Settings,
} from "../protocol";
import { parse } from "../syntax";
import { MAX_PARSED, type SyntaxTrees } from "../trees";
import { type Answer, readAnswer } from "./answer";
import { syntaxErrors } from "./check";
import { chatPromptOf } from "./prompt";
import { blockOf, rewrite } from "./rewrite";
import { targetOf } from "./target";
import { unixBreaks } from "../lines";
import { dedent, indentLike, lineBreakOf, offsetOf, rangeOf, type Span } from "./text";

export interface RefactorServices {
  /** null: none is loaded. */
  readonly engine: Generator | null;
  readonly settings: Settings;
  readonly trees: SyntaxTrees;
  /** Why no model is shown the file at `uri`; null: it may be. */
  readonly excludedBecause: (uri: string) => string | null;
}

type Heard = (progress: RefactorProgress) => void;

const PROGRESS_MS = 50; // between two notifications: more are not seen, and each holds all the text
const TEMPERATURE = 0.7; // of attempts beyond the first
const QUOTED = 200; // characters of an answer that is no code

/** The refactorings under way, one a document. */
export class Refactors {
  private readonly active = new Map<string, AbortController>(); // by URI

  /** Whether the model is wanted here: completions are silent meanwhile, so as not to queue behind. */
  get busy(): boolean {
    return this.active.size > 0;
  }

  /** Never rejects. Ends the one before of the same document. `document`: null if it is not open. */
  async run(
    params: RefactorParams,
    document: OpenDocument | null,
    services: RefactorServices,
    onProgress: Heard,
    signal: AbortSignal,
  ): Promise<RefactorResult> {
    const { uri } = params.textDocument;
    this.active.get(uri)?.abort();
    const controller = new AbortController();
    this.active.set(uri, controller);
    try {
      const both = AbortSignal.any([signal, controller.signal]);
      return await refactor(params, document, services, onProgress, both);
    } catch (error) {
      if (isAbort(error)) return { kind: "cancelled" };
      const { code, message } = coded(error);
      return { kind: "failed", code, message };
    } finally {
      if (this.active.get(uri) === controller) this.active.delete(uri);
    }
  }

  close(): void {
    for (const controller of this.active.values()) controller.abort();
  }
}

const refused = (code: RefusalCode, message: string): RefactorResult => ({
  kind: "refused",
  code,
  message,
});

async function refactor(
  params: RefactorParams,
  opened: OpenDocument | null,
  services: RefactorServices,
  onProgress: Heard,
  signal: AbortSignal,
): Promise<RefactorResult> {
  signal.throwIfAborted();
  const { engine, settings, trees, excludedBecause } = services;
  const excluded = excludedBecause(params.textDocument.uri);
  if (excluded !== null) {
    return refused("EXCLUDED", `No model is shown this file: ${excluded}.`);
  }
  if (engine === null) return refused("NO_MODEL", "No model is loaded. The status item says why.");
  if (opened === null || opened.version !== params.version) {
    return refused("DOCUMENT_CHANGED", "The document has changed since. Ask again.");
  }
  const document = { ...opened, text: opened.text }; // as it is now: it is edited while the model writes
  const { text, languageId } = document;
  const selected = {
    start: offsetOf(text, params.range.start),
    end: offsetOf(text, params.range.end),
  };
  const isParsed = text.length <= MAX_PARSED; // else nobody else would be answered for seconds
  const tree = isParsed ? trees.of(document.uri, languageId, text) : null;
  const errors = syntaxErrors(tree);
  const rewrites = params.preset === "rewrite";
  const target = rewrites ? blockOf(text, tree, selected) : targetOf(text, tree, selected);
  if (target === null) {
    return refused("NO_TARGET", "There is no code here. Select what to change.");
  }
  if (!rewrites && !engine.canChat) {
    return refused("CANT_CHAT", cantChat(engine.name));
  }
  const range = rangeOf(text, target);
  const breaks = lineBreakOf(text);
  const inDocument = (code: string) => code.replaceAll("\n", breaks);
  const tell = (code: string) =>
    onProgress({ id: params.id, target: range, text: inDocument(code) });
  tell("");
  const asked = { params, document, target, engine, settings };
  const answer = rewrites
    ? await rewritten(asked, tell, signal)
    : await instructed(asked, tell, signal);
  if (answer.kind !== "code") return withoutCode(answer);
  if (answer.text === unixBreaks(text.slice(target.start, target.end))) {
    return withoutCode({ kind: "unchanged" });
  }
  const result = inDocument(answer.text);
  const after = text.slice(0, target.start) + result + text.slice(target.end);
  const breaksSyntax = isParsed && syntaxErrors(parse(languageId, after)) > errors;
  return { kind: "done", target: range, text: result, breaksSyntax };
}

interface AskedOf extends Pick<RefactorServices, "settings"> {
  readonly params: RefactorParams;
  readonly document: OpenDocument;
  readonly target: Span;
  readonly engine: Generator;
}

type Tell = (code: string) => void;
/** "cut": the model was stopped before its end. */
type Outcome = Answer | { readonly kind: "cut" };

async function rewritten(
  { params: { attempt }, document, target, ...services }: AskedOf,
  tell: Tell,
  signal: AbortSignal,
): Promise<Outcome> {
  const request = { document, target, attempt };
  const text = await rewrite(request, services, seldom(tell), signal);
  return text === "" ? { kind: "prose", text: "" } : { kind: "code", text };
}

async function instructed(
  { params, document, target, engine, settings }: AskedOf,
  tell: Tell,
  signal: AbortSignal,
): Promise<Outcome> {
  const { text, languageId } = document;
  const room = {
    contextTokens: engine.contextTokens,
    surroundingTokens: settings.contextTokens,
  };
  const prompt = chatPromptOf({ ...params, ...document, target }, room, sizesIn(engine.vocabulary));
  const like = unixBreaks(text.slice(target.start, target.end));
  const read = (written: string, complete: boolean): Answer => {
    const asked = { original: prompt.code, languageId, complete };
    const answer = readAnswer(written, asked);
    if (answer.kind !== "code") return answer;
    const unchanged = dedent(answer.text) === prompt.code; // what re-indenting would change is not meant
    return { kind: "code", text: unchanged ? like : indentLike(answer.text, like) };
  };
  const onText = seldom((written) => {
    const answer = read(written, false);
    if (answer.kind === "code") tell(answer.text);
  });
  const { attempt } = params;
  const generated = await engine.chat(
    prompt.messages,
    {
      maxTokens: prompt.maxTokens,
      onText,
      ...(attempt > 0 && { temperature: TEMPERATURE, seed: attempt }),
    },
    signal,
  );
  signal.throwIfAborted();
  const full = generated.stop === "maxTokens" || generated.stop === "contextFull";
  return full ? { kind: "cut" } : read(generated.text, true);
}

/** `hear`, at most once in PROGRESS_MS. */
function seldom(hear: (text: string) => void): (text: string) => void {
  let last = -Infinity;
  return (text) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    hear(text);
  };
}

function withoutCode(answer: Exclude<Outcome, { kind: "code" }>): RefactorResult {
  if (answer.kind === "cut") {
    return refused(
      "CUT_OFF",
      "The answer is longer than the model can write here. Select less code.",
    );
  }
  if (answer.kind === "unchanged") {
    return refused("UNCHANGED", "The model would leave this code as it is.");
  }
  if (answer.text === "") return refused("NO_CODE", "The model wrote nothing.");
  const said = answer.text.slice(0, QUOTED).replace(/\s+/g, " ");
  const more = answer.text.length > QUOTED ? "…" : "";
  return refused("NO_CODE", `The model wrote no code, but: ${said}${more}`);
}
