// A model behind an OpenAI-compatible API, as something that generates: prompts as text, answers as
// streams of events.

import type { Message } from "../chat";
import { isAbort } from "../errors";
import type { ChatOptions, Generated, GenerateOptions, Generator } from "../generator";
import type { PromptTokens } from "../prompt";
import { Answer } from "./answer";
import type { EndpointClient, Limits, OnData } from "./client";
import { type Body, Dialect } from "./dialect";
import { EndpointError } from "./failure";
import { CircuitBreaker, type Pauses, type Retries, retrying } from "./patience";
import { deltaOf, type Kind } from "./reply";
import { TextVocabulary } from "./vocabulary";

export interface Patience {
  readonly completion: Retries;
  readonly chat: Retries;
  readonly pauses: Pauses;
}

/** A completion is of use for as long as the user may still wait for it at the same place. */
const defaultPatience: Patience = {
  completion: { attempts: 3, firstMs: 100, longestMs: 1_000, lateMs: 1_500 },
  chat: { attempts: 4, firstMs: 500, longestMs: 8_000, lateMs: 30_000 },
  pauses: { after: 3, firstMs: 2_000, longestMs: 60_000 },
};

const CHAT_FIRST_MS = 60_000; // the whole of a conversation may have to be read first
const CHAT_WHOLE_MS = 600_000;

export interface Remote {
  readonly client: EndpointClient;
  /** As the endpoint names it. */
  readonly model: string;
  /** Whether the server writes the model's template around a prompt, so that markers in it would be text. */
  readonly templates: boolean;
  readonly contextTokens: number;
  /** Hears that `says` has changed, and why. */
  readonly onChange: (why: string) => void;
  readonly patience?: Partial<Patience>;
}

interface Asked {
  readonly path: string;
  readonly kind: Kind;
  readonly body: Body;
  readonly retries: Retries;
  readonly limits?: Partial<Limits>;
}

export class RemoteEngine implements Generator {
  readonly name: string;
  readonly contextTokens: number;
  private chats = true; // until the endpoint refuses
  private text: TextVocabulary;
  private readonly client: EndpointClient;
  private readonly patience: Patience;
  private readonly breaker: CircuitBreaker;
  private readonly dialect: Dialect;
  private readonly closed = new AbortController();

  constructor(private readonly remote: Remote) {
    const { client, model, templates, contextTokens, onChange } = remote;
    this.client = client;
    this.name = model;
    this.contextTokens = contextTokens;
    this.patience = { ...defaultPatience, ...remote.patience };
    this.breaker = new CircuitBreaker(this.patience.pauses);
    this.text = (templates ? null : TextVocabulary.ofModel(model)) ?? TextVocabulary.withSuffix();
    this.dialect = new Dialect((field, says) => {
      onChange(`The endpoint does not take "${field}": ${says}`);
      if (field === "suffix") this.goOnOnly("The endpoint does not take a suffix.");
    });
  }

  readonly isShared = true;

  get canChat(): boolean {
    return this.chats;
  }

  get vocabulary(): TextVocabulary {
    return this.text;
  }

  /** The host, for the status. */
  get host(): string {
    return this.client.base.host;
  }

  /** Sentences for the status: how it fills in the middle. */
  get says(): readonly string[] {
    const { fim, suffixApart } = this.text;
    if (suffixApart) return ["The endpoint fills in the middle itself."];
    if (fim !== null) return [`Fills in the middle as ${fim.layout} models do.`];
    return [
      "The endpoint does not fill in the middle: the model goes on from what stands before the " +
        "cursor, and does not see what follows.",
    ];
  }

  /** The suffix is of no use here: from now on, prompts go without. */
  goOnOnly(why: string): void {
    this.text = TextVocabulary.plain();
    this.remote.onChange(why);
  }

  async generate(
    { tokens }: PromptTokens,
    options: GenerateOptions,
    signal: AbortSignal,
    limits: Partial<Limits> = {},
  ): Promise<Generated> {
    const { stops, perModelToken } = this.text;
    const { prompt, suffix } = this.text.request(tokens);
    const { maxTokens, temperature = 0, topP, seed, singleLine, until } = options;
    const { minLogProbability: least } = options;
    const wanted = {
      stops,
      singleLine,
      until,
      ...(least !== undefined && { minLogProbability: least }),
    };
    const answer = () => new Answer(wanted);
    const body = {
      model: this.name,
      prompt,
      ...(suffix !== null && { suffix }),
      max_tokens: Math.max(1, maxTokens),
      temperature,
      ...(topP !== undefined && { top_p: topP }),
      ...(seed !== undefined && { seed }),
      ...(stops.length > 0 && { stop: stops }),
      logprobs: 1,
      stream: true,
    };
    const retries = this.patience.completion;
    const asked: Asked = { path: "/completions", kind: "completion", body, retries, limits };
    const heard = await this.ask(asked, answer, signal);
    return heard.generated(Math.ceil(tokens.length / perModelToken));
  }

  async chat(
    messages: readonly Message[],
    { maxTokens, temperature = 0, seed, onText }: ChatOptions,
    signal: AbortSignal,
  ): Promise<Generated> {
    const body = {
      model: this.name,
      messages: messages.map(({ role, content }) => ({ role, content })),
      max_tokens: maxTokens,
      temperature,
      ...(seed !== undefined && { seed }),
      stream: true,
    };
    const until = (text: string) => {
      onText(text);
      return null;
    };
    const asked: Asked = {
      path: "/chat/completions",
      kind: "chat",
      body,
      retries: this.patience.chat,
      limits: { firstByteMs: CHAT_FIRST_MS, wholeMs: CHAT_WHOLE_MS },
    };
    const said = messages.reduce((sum, { content }) => sum + content.length, 0);
    try {
      const answer = () => new Answer({ stops: [], singleLine: false, until });
      const heard = await this.ask(asked, answer, signal);
      return heard.generated(Math.ceil(said / this.text.perModelToken));
    } catch (error) {
      throw this.asUnsupported(error);
    }
  }

  /** A refusal to chat at all, said as such. */
  private asUnsupported(error: unknown): unknown {
    if (!(error instanceof EndpointError)) return error;
    const { status } = error;
    if (status === null || ![400, 404, 405, 501].includes(status)) return error;
    if (status !== 400) this.chats = false;
    return new EndpointError(
      "MODEL_UNSUPPORTED",
      `The model ${this.name} can't follow instructions there. ${error.message} Choose an instruct ` +
        'model with "ringside.endpointModel".',
      { status, says: error.says, cause: error },
    );
  }

  /** The answer to what is asked, which has ended well. Rejects with AbortError, or an error for the user. */
  private async ask(asked: Asked, newAnswer: () => Answer, caller: AbortSignal): Promise<Answer> {
    const signal = AbortSignal.any([caller, this.closed.signal]);
    signal.throwIfAborted();
    if (asked.kind === "completion") this.breaker.check(); // who asks for an edit waits for no pause
    let answer = newAnswer();
    const attempt = async () => {
      answer = newAnswer();
      await this.dialect.send(asked.body, (body) => this.post(asked, body, answer, signal));
    };
    try {
      await retrying(attempt, asked.retries, () => !answer.begun, signal);
      this.breaker.succeeded();
      return answer;
    } catch (error) {
      if (isAbort(error) || !(error instanceof EndpointError)) throw error;
      // Too long a prompt says nothing of the next one, which another document asks.
      const isOwn = asked.kind === "chat" || error.code === "BAD_REQUEST";
      throw isOwn ? error : this.breaker.failed(error);
    }
  }

  private post(asked: Asked, body: Body, answer: Answer, signal: AbortSignal): Promise<void> {
    const { client } = this;
    const hear: OnData = (data, clean) =>
      answer.hear(deltaOf(data, asked.kind, client.base, clean));
    return client.stream(asked.path, body, hear, signal, asked.limits);
  }

  close(): void {
    this.closed.abort();
    this.client.close();
  }
}
