// The packaged server as VS Code on another platform starts it: Code for Node, its own pipe, and on Windows
// URIs whose drive is encoded. RINGSIDE_CODE names that program, RINGSIDE_EXTENSION the unpacked VSIX.
import assert from "node:assert/strict";
import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type MessageConnection,
} from "vscode-jsonrpc/node";
import type { Status } from "../../server/protocol";

const root = join(__dirname, "../..");
const code = process.env.RINGSIDE_CODE ?? process.execPath;
const extension = process.env.RINGSIDE_EXTENSION ?? root;
/** Of what Windows does in its own way. The unit tests ask the same elsewhere. */
const ofWindows = { skip: process.platform !== "win32" && "another lane's" };
const skip = process.env.RINGSIDE_EXTENSION === undefined && "another lane's";
const SETTLE_MS = 800; // many times what it takes, for a machine that is busy
const TIMEOUT_MS = 60_000; // for a model to load on a busy machine that is emulated

const scratch = realpathSync(mkdtempSync(join(tmpdir(), "ringside-wörter 名-")));
after(() => rmSync(scratch, { recursive: true, force: true }));

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** As VS Code writes it: file:///c%3A/Users. */
function encoded(path: string): string {
  const { href } = pathToFileURL(path);
  return href.replace(
    /^file:\/\/\/([A-Z]):/,
    (_, drive: string) => `file:///${drive.toLowerCase()}%3A`,
  );
}

interface Asking {
  readonly uri?: string;
  readonly languageId?: string;
  /** As a key asks, and at once: else as a command does, when what the file imports has been found. */
  readonly typed?: boolean;
}

interface Client {
  readonly connection: MessageConnection;
  readonly folder: string;
  /** Opens a file, asks at the bar, else at its end, and gives what is proposed and what the server says of it. */
  ask(name: string, text: string, asking?: Asking): Promise<{ proposed: string[]; why: string }>;
}

/** Starts a server on a folder that holds `files`, and ends it, as an editor does, after `use`. */
async function check(
  files: Readonly<Record<string, string>>,
  use: (client: Client) => Promise<void>,
) {
  const folder = mkdtempSync(join(scratch, "folder-"));
  write(folder, files);
  const child = fork(join(extension, "dist/server.js"), ["--node-ipc"], {
    execPath: code,
    execArgv: [],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" },
  });
  const connection = createMessageConnection(
    new IPCMessageReader(child),
    new IPCMessageWriter(child),
  );
  const ask: Client["ask"] = async (name, barred, asking = {}) => {
    const { uri = encoded(join(folder, name)), languageId = "typescript", typed = false } = asking;
    const [before = "", behind = ""] = barred.split("|");
    const textDocument = { uri, languageId, version: 1, text: before + behind };
    await connection.sendNotification("textDocument/didOpen", { textDocument });
    if (!typed) await delay(SETTLE_MS);
    const lines = before.split(/\r?\n/);
    const position = { line: lines.length - 1, character: lines.at(-1)!.length };
    const params = { textDocument, position, context: { triggerKind: typed ? 2 : 1 } };
    const items = (await connection.sendRequest("textDocument/inlineCompletion", params)) as {
      insertText: string;
    }[];
    const why = await connection.sendRequest<string>("ringside/why", { uri });
    return { proposed: items.map(({ insertText }) => insertText), why };
  };
  try {
    const ready = new Promise<Status>((resolve, reject) => {
      setTimeout(() => reject(new Error("The server says nothing.")), TIMEOUT_MS).unref();
      connection.onNotification("ringside/status", (status: Status) => {
        if (status.kind !== "loading") resolve(status);
      });
    });
    connection.listen();
    const silentIn = ["string"];
    const settings = { threads: 1, maxTokens: 8, debounceMs: 0, eagerness: "high", silentIn };
    await connection.sendRequest("initialize", {
      processId: process.pid,
      rootUri: null,
      workspaceFolders: [{ uri: encoded(folder), name: "w" }],
      capabilities: {},
      initializationOptions: { settings },
    });
    await connection.sendNotification("initialized", {});
    assert.equal((await ready).kind, "ready");
    await use({ connection, folder, ask });
    const ended = once(child, "exit");
    await connection.sendRequest("shutdown");
    await connection.sendNotification("exit");
    assert.deepEqual(await ended, [0, null]);
  } finally {
    connection.dispose();
    child.kill();
  }
}

const digits = "export function readDigit(text: string): number {\r\n  return 1;\r\n}\r\n";

/** A string in each language that has a grammar: only with its grammar does the server know of it. */
const strings = {
  typescript: 'const a = "b |";',
  typescriptreact: 'const a = <b c="d |" />;',
  javascript: 'const a = "b |";',
  python: 'a = "b |"',
  go: 'package a\n\nvar b = "c |"\n',
  rust: 'const A: &str = "b |";',
  c: 'const char *a = "b |";',
  cpp: 'auto a = std::string("b |");',
  java: 'class A { String b = "c |"; }',
};

suite("a session with the packaged server", { skip }, () => {
  test("parses every language that has a grammar", () =>
    check({}, async ({ ask }) => {
      for (const [languageId, text] of Object.entries(strings)) {
        const { why } = await ask(`a.${languageId}`, text, { languageId, typed: true });
        assert.match(why, /in a string/, languageId);
      }
    }));
  test("completes, with Windows line breaks", () =>
    check({}, async ({ ask }) => {
      const { proposed } = await ask("a.ts", "function add(a: number, b: number) {\r\n  return ");
      assert.ok(proposed.length > 0);
    }));
  test("finds what is imported, by a path and by an alias", ofWindows, () =>
    check(
      {
        "lib/b.ts": digits,
        "tsconfig.json": '{ "compilerOptions": { "paths": { "@/*": ["./lib/*"] } } }',
      },
      async ({ ask }) => {
        for (const [name, from] of [
          ["a.ts", "./lib/b"],
          ["c.ts", "@/b"],
        ] as const) {
          const { why } = await ask(name, `import { readDigit } from "${from}";\r\nconst a = `);
          assert.match(why, /imported here \| `.*lib\/b\.ts`/, from);
        }
      },
    ),
  );
  test("takes an open tab's text before its file's, where an alias finds it", ofWindows, () =>
    check(
      {
        "lib/b.ts": "", // as it is on the disk
        "tsconfig.json": '{ "compilerOptions": { "paths": { "@/*": ["./lib/*"] } } }',
      },
      async ({ ask }) => {
        await ask("lib/b.ts", "export function readSign(text: string): boolean {\r\n  return ");
        const { why } = await ask("a.ts", 'import { readSign } from "@/b";\r\nconst a = ');
        assert.match(why, /imported here \| `.*lib\/b\.ts`/);
      },
    ),
  );
  test("knows a file by its drive in either case, encoded or not", ofWindows, () =>
    check({ "b.ts": digits }, async ({ ask, folder }) => {
      const plain = pathToFileURL(join(folder, "a.ts")).href;
      assert.match(plain, /^file:\/\/\/C:/);
      const { why } = await ask("a.ts", 'import { readDigit } from "./b";\nconst a = ', {
        uri: plain,
      });
      assert.match(why, /imported here \| `.*b\.ts`/);
    }),
  );
  test("is silent where git ignores a file, by rules with Windows line breaks", ofWindows, () =>
    check({ ".gitignore": "*.log\r\n/made/\r\n", "made/a.ts": "" }, async ({ ask }) => {
      const { proposed, why } = await ask("made/a.ts", "const a = ");
      assert.deepEqual(proposed, []);
      assert.match(why, /ignored by git \(\/made\/ in .*\.gitignore\)/);
    }),
  );
});

suite("the packaged command line", { skip }, () => {
  const cli = (...args: string[]) =>
    spawnSync(code, [join(extension, "dist/cli.js"), ...args], {
      encoding: "utf8",
      env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" },
    });

  test("completes in a file with any letters in its path", () => {
    write(scratch, { "é 名.ts": "function add(a: number, b: number) {\n  return \n}\n" });
    const { stdout, stderr } = cli("complete", `${join(scratch, "é 名.ts")}:2:10`);
    assert.match(stdout, /\S/, stderr);
  });
  test("loads a model with any letters in its path", () => {
    const model = join(scratch, "модель");
    cpSync(join(root, "test/fixtures/native/tiny"), model, { recursive: true });
    const { stdout, stderr } = cli("inspect", model);
    assert.match(stdout, /^model +tiny\b/m, stderr);
    assert.match(cli("inspect", join(scratch, "名前")).stderr, /^MODEL_NOT_FOUND: .*名前/);
  });
  test("says where a GPU's library would be, with any letters in its path", () => {
    const dist = join(scratch, "dist 名");
    cpSync(join(extension, "dist"), dist, { recursive: true });
    const script = "console.log(JSON.stringify(require(process.argv[1]).probeDevices()))";
    const { stdout } = spawnSync(code, ["-e", script, join(dist, "ringside.node")], {
      encoding: "utf8",
    });
    const { problem } = JSON.parse(stdout) as { problem: string };
    assert.match(problem, /no GPU part \(.*dist 名[\\/]ringside_cuda\.(dll|so) is not there\)/);
  });
});
