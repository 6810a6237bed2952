// An open document, as the editor has it now.

/** As little of a document as is needed below the protocol. */
export interface OpenDocument {
  readonly uri: string;
  /** VS Code's language id. */
  readonly languageId: string;
  readonly version: number;
  readonly text: string;
}

/** The last three parts of a path or a URI's path: enough to tell what a file is about. */
export function shortPath(uri: string): string {
  const path = /^[a-z][\w+.-]+:/i.test(uri) ? uri.replace(/[?#].*/s, "") : uri; // in a path, # is a letter
  return decoded(path).split(/[/\\]/).filter(Boolean).slice(-3).join("/");
}

/** A path may hold any percent sign; what is no UTF-8 stays as it is. */
function decoded(uri: string): string {
  try {
    return decodeURIComponent(uri.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
  } catch {
    return uri;
  }
}
