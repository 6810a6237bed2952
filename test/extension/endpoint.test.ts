// The endpoint's key, between a secret storage and a language client that this file plays.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { SecretStorage } from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import type * as Endpoint from "../../extension/endpoint";
import { provideVscode } from "./vscode";

let endpoint: string | null = "http://gpu-box:8000/v1";
let typed: string | undefined;
const asked: { password?: boolean; prompt?: string }[] = [];
const errors: string[] = [];
const vscode = {
  window: {
    showInputBox: async (options: { password?: boolean; prompt?: string }) => {
      asked.push(options);
      return typed;
    },
    showErrorMessage: (message: string) => errors.push(message),
  },
  workspace: { getConfiguration: () => ({ get: () => endpoint }) },
};

provideVscode(vscode);

/** A storage, what the server is told of it, and what it is answered. */
function start() {
  const { offerKeys, setEndpointKey }: typeof Endpoint = require("../../extension/endpoint");
  const stored = new Map<string, string>();
  const told: unknown[] = [];
  let hear = (_: { key: string }) => {};
  let answer = async (_: { origin: string }): Promise<unknown> => undefined;
  const secrets = {
    get: async (key: string) => stored.get(key),
    store: async (key: string, value: string) => {
      stored.set(key, value);
      hear({ key });
    },
    delete: async (key: string) => {
      stored.delete(key);
      hear({ key });
    },
    onDidChange: (listener: typeof hear) => {
      hear = listener;
    },
  } as unknown as SecretStorage;
  const client = {
    isRunning: () => true,
    onRequest: (_: string, handler: typeof answer) => {
      answer = handler;
    },
    sendNotification: async (method: string, params: unknown) => told.push([method, params]),
  } as unknown as LanguageClient;
  offerKeys(client, secrets);
  const set = (text: string | undefined) => {
    typed = text;
    return setEndpointKey(secrets);
  };
  return { secrets, stored, told, set, answer: (origin: string) => answer({ origin }) };
}

const origin = "http://gpu-box:8000";
const change = ["ringside/endpointKeyChanged", { origin }];

suite("the endpoint's key", () => {
  test("is typed unseen, stored for the origin, told to the server when it asks for that one", async () => {
    const { set, answer, told } = start();
    assert.equal(await answer(origin), null);
    await set(" sk-1 ");
    assert.equal(asked.at(-1)!.password, true);
    assert.match(asked.at(-1)!.prompt!, /http:\/\/gpu-box:8000\./);
    assert.equal(await answer(origin), "sk-1");
    assert.equal(await answer("http://gpu-box:9000"), null);
    assert.deepEqual(told, [change]); // and not the key
  });
  test("is removed by an empty one, and stays when the box is left", async () => {
    const { set, answer, told } = start();
    await set("sk-1");
    await set(undefined);
    assert.equal(await answer(origin), "sk-1");
    await set("");
    assert.equal(await answer(origin), null);
    assert.deepEqual(told, [change, change]);
  });
  test("is asked for only where there is an endpoint", async () => {
    const { set, stored } = start();
    for (const none of [null, "gpu-box", "gpu-box:8000/v1", "file:///v1"]) {
      endpoint = none;
      await set("sk-1");
      assert.match(errors.at(-1)!, /"ringside.endpoint".*first/);
    }
    assert.equal(stored.size, 0);
    endpoint = "http://gpu-box:8000/v1";
  });
  test("is of no concern where another secret changes", async () => {
    const { secrets, told } = start();
    await secrets.store("another", "x");
    assert.deepEqual(told, []);
  });
});
