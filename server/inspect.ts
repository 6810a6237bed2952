// What `ringside inspect` says of a model: pure text from what the engine knows of it.

import { canChat } from "./chat";
import type { ModelInfo } from "./engine";
import type { Fim } from "./fim";

const scaled = (value: number, steps: readonly [number, string][]) => {
  const [size, unit] = steps.find(([step]) => value >= step) ?? steps[steps.length - 1]!;
  return `${(value / size).toPrecision(3)} ${unit}`;
};
const count = (value: number) =>
  scaled(value, [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "K"],
    [1, ""],
  ]).trim();
const bytes = (value: number) =>
  scaled(value, [
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "KB"],
    [1, "B"],
  ]);
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** Rows of a name and what is so called. */
export function inspection(info: ModelInfo, fim: Fim | null): [string, string][] {
  const { memory, prompting } = info;
  const types = Object.entries(info.bytesByType).sort((a, b) => b[1] - a[1]);
  const active =
    info.activeExpertShare === 1
      ? "all of them for each token"
      : `${count(info.activeParameters)} for each token, ` +
        `${percent(info.activeExpertShare)} of the experts'`;
  return [
    ["model", info.name],
    ["family", `${info.family}, ${info.format}`],
    ["parameters", `${count(info.parameters)}, ${active}`],
    ["weights", types.map(([type, size]) => `${type} ${bytes(size)}`).join(", ")],
    ["vocabulary", `${info.vocabularySize} tokens`],
    ["context", `${info.contextTokens} of ${info.trainedContextTokens} tokens`],
    ["memory", memory.explanation],
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
