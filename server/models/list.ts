// The catalogue for a reader: what is said of each form of a model, and whether it is here.

import type { DownloadableModel } from "../protocol";
import { defaultSettings } from "../settings";
import { advise, type Here, recommended } from "./advice";
import { type Choice, choices, idOf, memoryBytes } from "./catalogue";
import { bytesText } from "../units";
import { isThere } from "./source";

/** The shortest id that means this form. */
export function shortId(choice: Choice): string {
  return choice.variant === (choice.model.variants[0] ?? null) ? choice.model.id : idOf(choice);
}

/** What the catalogue says of a form, and whether it is in `modelsDirectory`. */
export function describe(choice: Choice, modelsDirectory: string) {
  const { model, variant } = choice;
  const { id: _, variants, kvBytesPerToken, ...facts } = model;
  return {
    id: shortId(choice),
    ...facts,
    quantization: variant?.quantization ?? null,
    bytes: variant?.totalBytes ?? null,
    sizeIsExact: variant?.sizeIsExact ?? true,
    memoryBytes: memoryBytes(choice, defaultSettings.contextTokens),
    downloaded: isThere(choice, modelsDirectory),
  };
}

/** The forms that can be downloaded, for the editor to choose from, and how they suit this machine. */
export function downloadable(modelsDirectory: string, here: Here): DownloadableModel[] {
  const forms = choices().filter(({ variant }) => variant !== null);
  const best = recommended(forms, here);
  return forms.map((choice) => {
    const { id, name, quantization, bytes, sizeIsExact, ...model } = describe(
      choice,
      modelsDirectory,
    );
    const size = `${sizeIsExact ? "" : "about "}${bytesText(bytes ?? 0)}`;
    const takes = { fim: "completes", chat: "follows instructions", both: "does both" };
    const humanEval = model.humanEval && `HumanEval ${model.humanEval.passAt1.toFixed(1)} %`;
    const facts = [size, takes[model.prompts], humanEval, model.licence].filter(Boolean);
    return {
      id,
      title: `${name} (${quantization})`,
      detail: facts.join(", "),
      downloaded: model.downloaded,
      advice: advise(choice, here),
      recommended: choice === best,
    };
  });
}
