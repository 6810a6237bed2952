// Prompts of models that follow instructions: the model's own chat template, rendered, and encoded so
// that only the template can place special tokens. What a user's text says stays text.

import type { ModelInfo } from "./engine";
import { RingsideError } from "./errors";
import { anyOf } from "./literal";

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** Text of the template, or of a message, in the order in which they stand in the prompt. */
interface Segment {
  readonly text: string;
  readonly from: "template" | "message";
}

type Chat = Pick<ModelInfo, "name" | "specialTokens" | "prompting">;

// Stands for a message's content while the template runs. Private use characters: no template
// trims, splits or matches them, and nothing that a message says is ever looked at for them.
const marker = (index: number) => `\uE0F1${index}\uE0F2`;
const markers = /\uE0F1(\d+)\uE0F2/;

/** Whether the model says how a conversation with it looks. */
export function canChat({ prompting }: Pick<ModelInfo, "prompting">): boolean {
  return prompting.chatTemplate !== "";
}

/** The conversation as the model's template writes it, up to where its answer begins. */
async function renderChat(model: Chat, messages: readonly Message[]): Promise<Segment[]> {
  const { chatTemplate, bosToken, ends } = model.prompting;
  if (!canChat(model)) {
    throw new RingsideError(
      "MODEL_UNSUPPORTED",
      `The model ${model.name} has no chat template, so it can't follow instructions. Choose an ` +
        `instruct model with "Ringside: Choose a Model..." in VS Code; \`ringside models\` lists some.`,
    );
  }
  const nameOf = (id: number | null | undefined) =>
    Object.entries(model.specialTokens).find(([, token]) => token === id)?.[0] ?? "";
  let rendered: string;
  try {
    const { Template } = await import("@huggingface/jinja"); // only who chats pays for it
    rendered = new Template(chatTemplate).render({
      messages: messages.map(({ role }, index) => ({ role, content: marker(index) })),
      add_generation_prompt: true,
      bos_token: nameOf(bosToken),
      eos_token: nameOf(ends[0]),
      enable_thinking: false, // an edit is waited for: models that can answer at once should
    });
  } catch (error) {
    throw new RingsideError(
      "MODEL_UNSUPPORTED",
      `The chat template of ${model.name} can't be rendered: ${(error as Error).message}. ` +
        "Choose another model, or another conversion of this one.",
      { cause: error },
    );
  }
  return rendered
    .split(markers) // every other part is the index that stood in a marker
    .map((part, i): Segment => {
      if (i % 2 === 0) return { text: part, from: "template" };
      return { text: messages[Number(part)]?.content.trim() ?? "", from: "message" };
    })
    .filter(({ text }) => text !== "");
}

/**
 * Tokens of `segments`. Special tokens are read in the template's text only; text that stands between
 * two of them is encoded as one, wherever it comes from.
 */
function encodeChat(
  segments: readonly Segment[],
  specialTokens: Readonly<Record<string, number>>,
  encode: (text: string, atStart: boolean) => ArrayLike<number>,
): Uint32Array {
  const tokens: number[] = [];
  let text = "";
  const flush = () => {
    const encoded = text === "" ? [] : encode(text, tokens.length === 0);
    for (let i = 0; i < encoded.length; i++) tokens.push(encoded[i]!); // one by one: a call takes about 120,000
    text = "";
  };
  const names = anyOf(Object.keys(specialTokens));
  const special = names === null ? /($^)/ : new RegExp(`(${names})`); // split keeps what a group holds
  for (const segment of segments) {
    const parts = segment.from === "message" ? [segment.text] : segment.text.split(special);
    parts.forEach((part, i) => {
      if (i % 2 === 0) {
        text += part;
      } else {
        flush();
        tokens.push(specialTokens[part]!);
      }
    });
  }
  flush();
  return Uint32Array.from(tokens);
}

/** The whole prompt; `bos` is added where the template does not start with it itself. */
export async function chatPrompt(
  model: Chat,
  messages: readonly Message[],
  encode: (text: string, atStart: boolean) => ArrayLike<number>,
): Promise<Uint32Array> {
  const tokens = encodeChat(await renderChat(model, messages), model.specialTokens, encode);
  const { bos } = model.prompting;
  return bos === null || tokens[0] === bos ? tokens : Uint32Array.from([bos, ...tokens]);
}
