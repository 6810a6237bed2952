// What `ringside inspect` says of a model: pure text from what the engine knows of it.

import { canChat } from "./chat";
import type { ModelInfo } from "./engine";
import type { Fim } from "./fim";
import { bytesText, countText, percentText } from "./units";

/** Rows of a name and what is so called. */
export function inspection(info: ModelInfo, fim: Fim | null): [string, string][] {
  const { memory, prompting } = info;
  const types = Object.entries(info.bytesByType).sort((a, b) => b[1] - a[1]);
  const active =
    info.activeExpertShare === 1
      ? "all of them for each token"
      : `${countText(info.activeParameters)} for each token, ` +
        `${percentText(info.activeExpertShare)} of the experts'`;
  return [
    ["model", info.name],
    ["family", `${info.family}, ${info.format}`],
    ["parameters", `${countText(info.parameters)}, ${active}`],
    ["weights", types.map(([type, size]) => `${type} ${bytesText(size)}`).join(", ")],
    ["vocabulary", `${info.vocabularySize} tokens`],
    ["context", `${info.contextTokens} of ${info.trainedContextTokens} tokens`],
    ["memory", memory.explanation],
    ["device", info.placement.explanation],
    ["middle", fim === null ? "no: it completes by going on" : middle(fim)],
    ["chat", canChat(info) ? "yes: it has a chat template" : "no: it has no chat template"],
    ["start", prompting.bos === null ? "no token" : `token ${prompting.bos}`],
  ];
}

function middle(fim: Fim): string {
  const order = fim.suffixFirst ? "suffix, prefix, middle" : "prefix, suffix, middle";
  const files = fim.file === null ? "one file" : "several files";
  return `yes: laid out as ${fim.layout} (${order}; ${files})`;
}
