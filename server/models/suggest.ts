// Which other models of the catalogue would be quick enough, when the one that was chosen is not.

import { type CatalogueModel, catalogue } from "./catalogue";

const ENOUGH_MS = 400; // from a key to the completion: below what is called a pause to think
const MOST = 2; // ids

/**
 * Ids of models that fill in the middle and should complete in ENOUGH_MS where one with
 * `activeParameters` takes `keystrokeMs`: a token's time is about that of reading the weights it takes.
 * The best first; the bundled one always is.
 */
export function quickerThan(
  keystrokeMs: number,
  activeParameters: number,
  models: readonly CatalogueModel[] = catalogue,
): string[] {
  const most = (activeParameters / 1e9) * (ENOUGH_MS / keystrokeMs);
  const quick = models.filter(
    ({ prompts, parameters, variants }) =>
      prompts !== "chat" && variants.length > 0 && parameters.active <= most,
  );
  const score = ({ humanEval, parameters }: CatalogueModel) =>
    [humanEval?.passAt1 ?? 0, parameters.total] as const;
  const best = quick.sort((a, b) => score(b)[0] - score(a)[0] || score(b)[1] - score(a)[1]);
  return [...best.slice(0, MOST).map(({ id }) => id), "ringside-small"];
}
