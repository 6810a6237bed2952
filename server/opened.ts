// What the editor has open, as models see it: documents, and in place of a notebook's cells the programs
// that they are parts of.

import type { OpenDocument } from "./document";
import { cellAt, type Program, programNamed, programOf, programUri } from "./notebooks";

export interface OpenNotebook {
  readonly uri: string;
  readonly version: number;
  /** By the URIs of their documents. */
  readonly cells: readonly { readonly document: string }[];
}

/** What is open now. */
export interface Editor {
  document(uri: string): OpenDocument | undefined;
  notebook(uri: string): OpenNotebook | undefined;
  notebookOf(cell: string): OpenNotebook | undefined;
}

/** A document within what it is a part of: a cell in its notebook's program, or a document in itself. */
export interface Part {
  readonly document: OpenDocument;
  readonly program: OpenDocument;
  /** Where its text starts in the program's, in UTF-16 units. */
  readonly start: number;
}

export class OpenDocuments {
  private recent: string[] = []; // URIs of documents, the last seen first
  private readonly programs = new Map<string, Set<string>>(); // their URIs, by their notebook's

  constructor(private readonly editor: Editor) {}

  /** The document was edited or asked about. */
  seen(uri: string): void {
    this.recent = [uri, ...this.recent.filter((other) => other !== uri)];
  }

  closed(uri: string): void {
    this.recent = this.recent.filter((other) => other !== uri);
  }

  partOf(document: OpenDocument): Part {
    const notebook = this.editor.notebookOf(document.uri);
    if (notebook !== undefined) {
      const { document: program, starts } = this.programIn(notebook, document.languageId);
      const start = starts.get(document.uri);
      if (start !== undefined) return { document, program, start };
    }
    return { document, program: document, start: 0 };
  }

  /** The part of the document or program at `uri` that `offset` is in. */
  partAt(uri: string, offset: number): Part | null {
    const named = programNamed(uri);
    const notebook = named === null ? undefined : this.editor.notebook(named.notebook);
    const cell = notebook && cellAt(this.programIn(notebook, named!.languageId), offset);
    const document = this.editor.document(cell ?? uri);
    return document === undefined ? null : this.partOf(document);
  }

  /** The other documents and programs, the last seen first. */
  othersThan(uri: string): OpenDocument[] {
    const taken = new Set([uri]);
    return this.recent.flatMap((other) => {
      const document = this.editor.document(other);
      if (document === undefined || taken.has(this.nameOf(document))) return [];
      taken.add(this.nameOf(document));
      return this.partOf(document).program;
    });
  }

  /** The URI of what the document is a part of. */
  nameOf({ uri, languageId }: OpenDocument): string {
    const notebook = this.editor.notebookOf(uri);
    return notebook === undefined ? uri : programUri(notebook.uri, languageId);
  }

  /** A notebook's programs, one for each language of its cells. */
  programsOf(notebook: OpenNotebook): OpenDocument[] {
    const cells = notebook.cells.flatMap(({ document }) => this.editor.document(document) ?? []);
    const languages = new Set(cells.map(({ languageId }) => languageId));
    return Array.from(languages, (languageId) => this.programIn(notebook, languageId).document);
  }

  /** The notebook is closed: the URIs of all programs that it had. */
  closedNotebook(uri: string): string[] {
    const programs = [...(this.programs.get(uri) ?? [])];
    this.programs.delete(uri);
    return programs;
  }

  private programIn(notebook: OpenNotebook, languageId: string): Program {
    const cells = notebook.cells.flatMap(({ document }) => this.editor.document(document) ?? []);
    const program = programOf(notebook, cells, languageId);
    const known = this.programs.get(notebook.uri) ?? new Set();
    this.programs.set(notebook.uri, known.add(program.document.uri));
    return program;
  }
}
