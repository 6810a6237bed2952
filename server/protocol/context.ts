// What the server asks the editor about the code around the cursor.

/** A place in a document that the server has open. */
export interface DefinitionsParams {
  readonly uri: string;
  /** Both counted from 0, the character in UTF-16 units. */
  readonly line: number;
  readonly character: number;
}

/** A definition of a name that stands near the place. */
export interface DefinitionNear {
  readonly uri: string;
  /** Counted from 0; where `text` starts. */
  readonly line: number;
  /** The declaration, in whole lines. */
  readonly text: string;
}

/**
 * Request to the client, if its initialization options say `definitions: true`. Its result is
 * DefinitionNear[]: definitions of the names near the place, the nearest name's first; [] for none.
 */
export const definitionsMethod = "ringside/definitions";
