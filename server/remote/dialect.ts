// Which of the fields that a request can do without an endpoint takes. Servers differ, and refuse what
// they do not know; what was refused once is not sent again.

import { EndpointError } from "./failure";

export type Body = Readonly<Record<string, unknown>>;

/** By how they are named where they are refused. What changes the answer least is given up first. */
const optional: Readonly<Record<string, RegExp>> = {
  logprobs: /log_?probs?/i,
  stop: /\bstop/i,
  seed: /\bseed\b/i,
  top_p: /\btop_?p\b/i,
  temperature: /temperature/i,
  suffix: /suffix|insert|infill/i, // Ollama: "does not support insert"
};
const groups = [["logprobs", "stop", "seed", "top_p", "temperature"], ["suffix"]];

/** Fields that some servers want under another name, which they say where they refuse the one. */
const renamed: Readonly<Record<string, string>> = { max_tokens: "max_completion_tokens" };

const tooLong = /context|too long|too many tokens|exceed|max\w*[ _](model[ _])?len/i;

export class Dialect {
  private readonly refused = new Set<string>();
  private readonly names = new Map<string, string>(); // what a field is called here

  /** `onRefused` hears of each field that is not sent any more. */
  constructor(private readonly onRefused: (field: string, says: string) => void) {}

  /** Sends `body` with the fields that are taken; again with fewer where some are refused. */
  async send(body: Body, send: (body: Body) => Promise<void>): Promise<void> {
    let sent = this.named(without(body, [...this.refused]));
    for (;;) {
      try {
        return await send(sent);
      } catch (error) {
        if (!refuses(error)) throw explained(error);
        if (this.learnNames(sent, error)) {
          sent = this.named(sent);
          continue;
        }
        const named = Object.keys(optional).filter(
          (field) => field in sent && optional[field]!.test(error.says),
        );
        if (named.length === 0) return await this.sendLess(sent, send, error);
        this.refuse(named, error);
        sent = without(sent, named);
      }
    }
  }

  /** Whether the server says what it calls one of the fields that were sent. */
  private learnNames(sent: Body, { says }: EndpointError): boolean {
    const found = Object.entries(renamed).filter(
      ([field, name]) => field in sent && says.includes(name),
    );
    for (const [field, name] of found) this.names.set(field, name);
    return found.length > 0;
  }

  private named(body: Body): Body {
    return Object.fromEntries(
      Object.entries(body).map(([field, value]) => [this.names.get(field) ?? field, value]),
    );
  }

  /** The server does not say what it refuses: it is what the first request lacks that it takes. */
  private async sendLess(
    body: Body,
    send: (body: Body) => Promise<void>,
    error: EndpointError,
  ): Promise<void> {
    let sent = body;
    for (const group of groups) {
      const less = without(sent, group);
      if (Object.keys(less).length === Object.keys(sent).length) continue;
      sent = less;
      try {
        await send(sent);
      } catch (again) {
        if (!refuses(again)) throw explained(again);
        continue;
      }
      this.refuse(
        Object.keys(body).filter((field) => !(field in sent)),
        error,
      );
      return;
    }
    throw error;
  }

  private refuse(fields: readonly string[], { says }: EndpointError): void {
    for (const field of fields) {
      if (this.refused.has(field)) continue;
      this.refused.add(field);
      this.onRefused(field, says);
    }
  }
}

function without(body: Body, fields: readonly string[]): Body {
  return Object.fromEntries(Object.entries(body).filter(([field]) => !fields.includes(field)));
}

/** Whether a field may be what the server refuses. */
function refuses(error: unknown): error is EndpointError {
  if (!(error instanceof EndpointError)) return false;
  return (error.status === 400 || error.status === 422) && !tooLong.test(error.says);
}

function explained(error: unknown): unknown {
  if (!(error instanceof EndpointError) || !tooLong.test(error.says)) return error;
  if (error.status !== 400 && error.status !== 422) return error;
  const message = `${error.message} Lower "ringside.contextTokens" or "ringside.maxTokens".`;
  return new EndpointError("BAD_REQUEST", message, { says: error.says, cause: error });
}
