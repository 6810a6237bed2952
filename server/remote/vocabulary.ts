// Prompts for a server that tokenizes by itself: a token is a UTF-16 code unit, or a marker above all
// of them, and what comes of it is text again.

import { type Fim, fimOf, markersOf } from "../fim";
import { anyOf } from "../literal";
import type { Vocabulary } from "../prompt";

const FIRST_MARKER = 0x110000; // above Unicode
const PER_MODEL_TOKEN = 3; // code units: 3.3 in our TypeScript, 3.0 in Python, 2.5 in C++, with 8,192 tokens

const unnamed = {
  fimPrefix: null,
  fimSuffix: null,
  fimMiddle: null,
  fimRepository: null,
  fimSeparator: null,
};

/** What a request says: the suffix is apart where the server fills in by itself. */
export interface PromptText {
  readonly prompt: string;
  readonly suffix: string | null;
}

export class TextVocabulary implements Vocabulary {
  readonly bos = null; // the server's tokenizer adds what its model wants
  readonly perModelToken = PER_MODEL_TOKEN;
  private readonly literal: RegExp | null;

  private constructor(
    readonly fim: Fim | null,
    /** Texts of the markers, by their distance from FIRST_MARKER. */
    private readonly markers: readonly string[],
    /** Texts that end what the model writes. */
    readonly stops: readonly string[],
  ) {
    const texts = anyOf(stops);
    this.literal = texts === null ? null : new RegExp(texts, "g");
  }

  /** That of a model whose name tells how it fills in the middle, or null. */
  static ofModel(name: string): TextVocabulary | null {
    const markers = markersOf(name);
    if (markers === null) return null;
    const ids = markers.fim.map((text, index) => [text, FIRST_MARKER + index]);
    const fim = fimOf({ family: "", specialTokens: Object.fromEntries(ids), named: unnamed });
    return new TextVocabulary(fim, markers.fim, [...markers.fim, ...markers.ends]);
  }

  /** For a server that takes the suffix apart from the prompt, and knows how its model fills in. */
  static withSuffix(): TextVocabulary {
    const fim: Fim = {
      layout: "suffix",
      prefix: FIRST_MARKER,
      suffix: FIRST_MARKER + 1,
      middle: null,
      suffixFirst: false,
      file: null,
      repository: null,
      path: "beforeFim",
      alwaysPath: false,
    };
    return new TextVocabulary(fim, ["", ""], []);
  }

  /** For a model that can only go on. */
  static plain(): TextVocabulary {
    return new TextVocabulary(null, [], []);
  }

  /** Whether the suffix is apart from the prompt. */
  get suffixApart(): boolean {
    return this.fim?.layout === "suffix";
  }

  encode(text: string): Uint32Array {
    // The server would read a marker in the user's text as one of ours: a space breaks it up.
    const safe =
      this.literal === null
        ? text
        : text.replace(this.literal, ([first, ...rest]) => `${first} ${rest.join("")}`);
    return Uint32Array.from({ length: safe.length }, (_, i) => safe.charCodeAt(i));
  }

  count(line: string): number {
    return line.length;
  }

  /** The request for `tokens`, which buildPrompt made with this vocabulary. */
  request(tokens: Uint32Array): PromptText {
    if (!this.suffixApart) return { prompt: this.decode(tokens), suffix: null };
    const behind = tokens.indexOf(FIRST_MARKER + 1);
    if (behind < 0) return { prompt: this.decode(tokens), suffix: null };
    return {
      prompt: this.decode(tokens.subarray(0, behind)),
      suffix: this.decode(tokens.subarray(behind)),
    };
  }

  private decode(tokens: Uint32Array): string {
    const parts: string[] = [];
    let start = 0;
    const flush = (end: number) => {
      for (; start < end; start += CHUNK) {
        parts.push(String.fromCharCode(...tokens.subarray(start, Math.min(end, start + CHUNK))));
      }
    };
    tokens.forEach((token, i) => {
      if (token < FIRST_MARKER) return;
      flush(i);
      parts.push(this.markers[token - FIRST_MARKER] ?? "");
      start = i + 1;
    });
    flush(tokens.length);
    // A window may cut a pair in two, and few servers take half of one.
    return parts.join("").replace(/\p{Surrogate}/gu, "\uFFFD");
  }
}

const CHUNK = 4096; // arguments of one call
