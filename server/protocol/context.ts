// What the server asks the editor about the code around the cursor.

/** Names in a document that the server has open, the most wanted first. */
export interface DefinitionsParams {
  readonly uri: string;
  /** Where they start: lines counted from 0, characters in UTF-16 units. */
  readonly names: readonly { readonly line: number; readonly character: number }[];
}

/** The definition of one of the names. */
export interface DefinitionNear {
  readonly uri: string;
  /** Counted from 0; where `text` starts. */
  readonly line: number;
  /** The declaration, in whole lines. */
  readonly text: string;
}

/**
 * Request to the client, if its initialization options say `definitions: true`. Its result is
 * DefinitionNear[]: definitions of the names in other files, in the names' order; [] for none.
 */
export const definitionsMethod = "ringside/definitions";
