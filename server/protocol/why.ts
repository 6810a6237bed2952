// "Why this suggestion?": the last completion of a document, explained.

export interface WhyParams {
  readonly uri: string;
}

/** Request to the server with WhyParams; its result is Markdown. */
export const whyMethod = "ringside/why";

/** Request to the server with WhyParams; its result: why no model is shown the document, or null. */
export const excludedMethod = "ringside/excluded";
