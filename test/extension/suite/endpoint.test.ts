import assert from "node:assert/strict";
import * as vscode from "vscode";
import { accept, api, nothingToAccept, open, ready, type, until } from "./editor";
import { Endpoint } from "./endpoint";

const source = "export function twice(value: number): number {\n  |\n}\n";
const commit = "editor.action.inlineSuggest.commit";

suite("completions by an endpoint", () => {
  const endpoint = new Endpoint();
  const settings = () => vscode.workspace.getConfiguration("ringside");
  const { Global } = vscode.ConfigurationTarget;

  async function readyWith(model: RegExp): Promise<void> {
    const ringside = await api();
    await until(`a model like ${model}`, () => {
      const { status } = ringside;
      return status.kind === "ready" && model.test(status.model) ? true : null;
    });
  }

  suiteSetup(async () => {
    await ready();
    endpoint.completion = "return value * 2;";
    await settings().update("endpoint", await endpoint.start(), Global);
    await readyWith(/scripted/);
  });
  suiteTeardown(async () => {
    endpoint.stop();
    await settings().update("endpoint", undefined, Global);
    await readyWith(/^ringside-small$/);
  });
  teardown(() => vscode.commands.executeCommand("workbench.action.closeAllEditors"));

  test("are shown and accepted, and the status names the host", async () => {
    const editor = await open("ts", source);
    await type("re");
    endpoint.completion = "turn value * 2;";
    await type("t"); // asks anew
    endpoint.completion = "urn value * 2;";
    const inserted = await accept(editor, commit);
    assert.match(inserted, /value \* 2;$/);
    const { status } = await api();
    assert.ok(
      status.kind === "ready" && /127\.0\.0\.1/.test(status.device),
      JSON.stringify(status),
    );
  });

  test("carry the key that the user stored, and none once it is removed", async () => {
    const window = vscode.window as unknown as Record<string, unknown>;
    const { showInputBox } = window;
    const give = async (key: string) => {
      window.showInputBox = async () => key;
      await vscode.commands.executeCommand("ringside.setEndpointKey");
    };
    try {
      await give("sk-of-the-test");
      await until("a request with the key", () => {
        const last = endpoint.headers.at(-1)?.authorization;
        return last === "Bearer sk-of-the-test" ? true : null;
      });
      await give("");
      await until("a request without a key", () =>
        endpoint.headers.at(-1)?.authorization === undefined ? true : null,
      );
    } finally {
      window.showInputBox = showInputBox;
    }
  });

  test("are silent while it is away, and the status says why", async () => {
    endpoint.stop();
    const editor = await open("ts", source);
    await type("ret");
    assert.ok(await nothingToAccept(editor, 1500));
    const ringside = await api();
    await until("a status that says so", () => {
      const { status } = ringside;
      return status.kind === "failed" && status.code === "ENDPOINT_FAILED" ? true : null;
    });
  });
});
