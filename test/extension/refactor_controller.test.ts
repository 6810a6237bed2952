// Refactorings that overtake each other, between an editor and a server that this file plays.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { CancellationToken, TextDocument } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import type * as Accept from "../../extension/refactor/accept";
import type * as Controller from "../../extension/refactor/controller";
import type { RefactorParams, RefactorProgress, RefactorResult } from "../../server/protocol";
import { FakeEditor, provideVscode } from "./vscode";

let editor = new FakeEditor();
provideVscode(new Proxy({}, { get: (_, name) => editor.api[name as keyof FakeEditor["api"]] }));

const asked = { preset: null, instruction: "Do it." };
const target = { start: { line: 0, character: 0 }, end: { line: 0, character: 4 } };

interface Asked {
  readonly params: RefactorParams;
  readonly token: CancellationToken;
  readonly answer: (result: RefactorResult) => void;
}

/** Those that the server still works on. */
const live = (requests: readonly Asked[]) =>
  requests.filter(({ token }) => !token.isCancellationRequested);

function start() {
  editor = new FakeEditor();
  const { RefactorController }: typeof Controller = require("../../extension/refactor/controller");
  const requests: Asked[] = [];
  let hear: (progress: RefactorProgress) => void = () => {};
  const client = {
    code2ProtocolConverter: { asUri: String },
    onNotification: (_: string, listener: typeof hear) => {
      hear = listener;
    },
    sendRequest: (_: string, params: RefactorParams, token: CancellationToken) =>
      new Promise<RefactorResult>((answer) => requests.push({ params, token, answer })),
  } as unknown as LanguageClient;
  const controller = new RefactorController(client, {} as never);
  const document = editor.document as unknown as TextDocument;
  const begin = async () => {
    const before = requests.length;
    void controller.start(document, { start: 0, end: 0 }, asked);
    while (requests.length === before) await delay(1);
    return { refactoring: controller.find(document.uri)!, request: requests.at(-1)! };
  };
  const tell = (id: string, text: string) => hear({ id, target, text });
  return { controller, requests, begin, tell };
}

const diffs = () => editor.commands.filter(([name]) => name === "vscode.diff");

suite("a refactoring that is over", () => {
  test("opens no diff when the server tells of it late", async () => {
    const { begin, tell } = start();
    const first = await begin();
    const second = await begin();
    tell(first.request.params.id, "");
    tell(second.request.params.id, "");
    await delay(5);
    assert.equal(diffs().length, 1);
    assert.equal(String(diffs()[0]![2]), String(second.refactoring.proposalUri));
  });
  test("is not the one that remains, where three are begun at once", async () => {
    const { controller, requests, begin } = start();
    const starts = [begin(), begin(), begin()];
    await Promise.all(starts);
    await delay(5);
    const last = requests.at(-1)!.params.id.split(".")[0];
    assert.equal(controller.find(editor.document.uri as never)!.id, last);
    assert.equal(live(requests).length, 1);
  });
  test("writes nothing into the attempt after it", async () => {
    const { controller, requests, begin, tell } = start();
    const { refactoring, request } = await begin();
    tell(request.params.id, "");
    void controller.regenerate(refactoring);
    while (requests.length < 2) await delay(1);
    tell(request.params.id, "old();");
    assert.equal(refactoring.state, "asked");
    const { proposal } = refactoring;
    tell(requests[1]!.params.id, "");
    assert.notEqual(refactoring.proposal, proposal);
  });
});

suite("what is wrong with a document", () => {
  test("is told with each attempt as it is then", async () => {
    const { controller, requests, begin } = start();
    const problem = (line: number, severity = 0) => ({
      range: { start: { line } },
      message: `line ${line}`,
      severity,
    });
    editor.diagnostics = [problem(7), problem(1), problem(0, 3)]; // the last one is a hint
    const { refactoring } = await begin();
    editor.diagnostics = [problem(4)];
    void controller.regenerate(refactoring);
    while (requests.length < 2) await delay(1);
    assert.deepEqual(
      requests.map(({ params }) => params.problems.map(({ line }) => line)),
      [[1, 7], [4]],
    );
  });
});

suite("a proposal that breaks the syntax", () => {
  /** Asked whether it is wanted nevertheless; `meanwhile` something happens; then "Accept Anyway". */
  async function check(
    meanwhile: (started: ReturnType<typeof start>) => Promise<void> | void,
    edits: number,
  ) {
    const started = start();
    const { acceptAll }: typeof Accept = require("../../extension/refactor/accept");
    const { refactoring, request } = await started.begin();
    started.tell(request.params.id, "");
    request.answer({ kind: "done", target, text: "a(;", breaksSyntax: true });
    while (refactoring.state !== "done") await delay(1);
    const accepting = acceptAll(started.controller, refactoring);
    await delay(1);
    await meanwhile(started);
    editor.choose("Accept Anyway");
    await accepting;
    assert.equal(editor.edits, edits);
  }

  test("is accepted if the user wants it", () => check(() => {}, 1));
  test("is not once it is discarded", () =>
    check(async ({ controller }) => {
      const refactoring = controller.find(editor.document.uri as never)!;
      await controller.discard(refactoring);
    }, 0));
  test("is not while another one is written in its place", () =>
    check(async ({ controller, requests, tell }) => {
      void controller.regenerate(controller.find(editor.document.uri as never)!);
      while (requests.length < 2) await delay(1);
      tell(requests[1]!.params.id, "");
      tell(requests[1]!.params.id, "half");
    }, 0));
});
