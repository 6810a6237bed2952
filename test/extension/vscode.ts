// As much of VS Code as refactorings touch, for tests without an editor.
import Module from "node:module";
import { CancellationTokenSource } from "vscode-jsonrpc";

const nothing = { dispose() {} };
const listens = () => nothing;

class Position {
  constructor(
    readonly line: number,
    readonly character: number,
  ) {}
}

class Range {
  constructor(
    readonly start: Position,
    readonly end: Position,
  ) {}
}

class Uri {
  private constructor(
    readonly scheme: string,
    readonly path: string,
    readonly query: string,
  ) {}

  static from({ scheme, path, query = "" }: { scheme: string; path: string; query?: string }) {
    return new Uri(scheme, path, query);
  }

  toString(): string {
    return `${this.scheme}:${this.path}?${this.query}`;
  }
}

/** A document of one file. */
export class FakeDocument {
  readonly languageId = "typescript";
  version = 1;

  constructor(
    readonly uri: Uri,
    public text: string,
  ) {}

  getText(): string {
    return this.text;
  }

  positionAt(offset: number): Position {
    const before = this.text.slice(0, offset).split("\n");
    return new Position(before.length - 1, before.at(-1)!.length);
  }
}

class Edits {
  replace() {}
}

/** What was asked of the editor, and how it answers. */
export class FakeEditor {
  readonly document = new FakeDocument(
    Uri.from({ scheme: "file", path: "/p/a.ts" }),
    "a();\nb();\n",
  );
  readonly commands: unknown[][] = [];
  edits = 0;
  /** What is wrong with the document. */
  diagnostics: readonly object[] = [];
  /** Answers the question that is shown. */
  choose: (button: string | undefined) => void = () => {};
  readonly api = {
    CancellationTokenSource,
    CodeLens: class {},
    EventEmitter: class {
      readonly event = listens;
      fire() {}
      dispose() {}
    },
    DiagnosticSeverity: { Hint: 3 },
    Position,
    ProgressLocation: { Notification: 15 },
    Range,
    Selection: Range,
    StatusBarAlignment: { Left: 1 },
    TabInputTextDiff: class {},
    TextEditorRevealType: {},
    ThemeColor: class {},
    Uri,
    WorkspaceEdit: Edits,
    commands: { executeCommand: async (...given: unknown[]) => void this.commands.push(given) },
    languages: { getDiagnostics: () => this.diagnostics, registerCodeLensProvider: listens },
    window: {
      activeTextEditor: undefined,
      visibleTextEditors: [],
      createStatusBarItem: () => ({ ...nothing, hide() {}, show() {} }),
      onDidChangeActiveTextEditor: listens,
      setStatusBarMessage() {},
      showTextDocument() {},
      showWarningMessage: () =>
        new Promise((resolve) => {
          this.choose = resolve;
        }),
      tabGroups: {
        activeTabGroup: {},
        all: [],
        close: async () => {},
        onDidChangeTabGroups: listens,
        onDidChangeTabs: listens,
      },
      withProgress: (
        _: unknown,
        run: (progress: unknown, token: unknown) => Promise<unknown>,
      ): Promise<unknown> => run({ report() {} }, { onCancellationRequested: listens }),
    },
    workspace: {
      applyEdit: async () => {
        this.edits++;
        return true;
      },
      onDidChangeTextDocument: listens,
      openTextDocument: async (uri: Uri) =>
        uri.scheme === "file" ? this.document : new FakeDocument(uri, ""),
      registerTextDocumentContentProvider: listens,
    },
  };
}

/** From now on, `require("vscode")` gives `api`, which is there in the editor alone. */
export function provideVscode(api: object): void {
  const loader = Module as unknown as { _load(name: string, ...rest: unknown[]): unknown };
  const load = loader._load;
  loader._load = (name, ...rest) => (name === "vscode" ? api : load(name, ...rest));
}
