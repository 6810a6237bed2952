import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Context } from "../../../server/context/context";
import type { ImportedFiles } from "../../../server/context/imported";
import { fileOf } from "../../../server/context/paths";
import { type OpenDocument, shortPath } from "../../../server/document";
import type { Snippet } from "../../../server/prompt";

const document = (uri: string, text: string, languageId = "typescript"): OpenDocument => ({
  uri,
  languageId,
  version: 1,
  text,
});
const parser = "parseNumber tokenStream expectDigit readSign\n";
const similar = "readSign(tokenStream); expectDigit(tokenStream);\n";
const other = "colour shade palette gradient canvas\n";
const here = document("file:///p/src/here.ts", parser);

function gather(
  context: Context,
  file: OpenDocument,
  others: readonly OpenDocument[],
  { offset = 5, budgetTokens = 2000 } = {},
): readonly Snippet[] {
  const count = (line: string) => line.length;
  return context.gather({ document: file, offset, others, promptTokens: 100, budgetTokens, count });
}

/** The paths of the snippets for a cursor in `here`. */
function check(others: readonly OpenDocument[], expected: readonly string[]) {
  const snippets = gather(new Context(), here, others);
  assert.deepEqual(
    snippets.map(({ path }) => path),
    expected,
  );
}

const made: string[] = [];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

/** A context over a workspace that holds `files`; `open` has each file's document. */
async function workspaceOf(files: Readonly<Record<string, string>>) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "ringside-context-")));
  const root = fileOf(pathToFileURL(folder).href)!; // as the server spells a drive
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  let now = 0;
  const context = new Context({ now: () => now });
  context.useFolders([root]);
  const open = (path: string) => document(pathToFileURL(join(root, path)).href, files[path]!);
  const settle = async () => {
    await delay(20);
    await context.idle();
  };
  const wait = (ms: number) => {
    now += ms;
  };
  await settle();
  return { context, open, settle, wait, root };
}

const long = (name: string, lines: number) =>
  Array.from({ length: lines }, (_, i) => `const ${name}${i} = ${name}(${i});\n`).join("");

suite("context", () => {
  test("takes the tab that is alike", () =>
    check(
      [document("file:///q/r/p/a.ts", similar), document("file:///q/r/p/b.ts", other)],
      ["r/p/a.ts"],
    ));
  test("puts the most alike tab last, nearest to the cursor", () => {
    const some = document("file:///q/r/p/some.ts", `readSign readDigit\n${other}`);
    const most = document("file:///q/r/p/most.ts", parser.replace("readSign", "readNothing"));
    check([most, some], ["r/p/some.ts", "r/p/most.ts"]);
    check([some, most], ["r/p/some.ts", "r/p/most.ts"]);
  });
  test("takes dialects of one family, no other language", () =>
    check(
      [document("a.tsx", similar, "typescriptreact"), document("a.py", similar, "python")],
      ["a.tsx"],
    ));
  test("leaves out the file itself", () => check([here], []));
  test("leaves out what the prompt shows anyway", () => {
    const copy = document("file:///p/src/copy.ts", `${parser}${parser}`);
    const line = "parseNumber(tokenStream, expectDigit, readSign);\n";
    assert.deepEqual(gather(new Context(), { ...here, text: line }, [{ ...copy, text: line }]), []);
    assert.equal(gather(new Context(), here, [{ ...copy, text: line }]).length, 1);
  });
  test("shows nothing any more of files that are gone, alone or with their folder", async () => {
    const files = { "here.ts": "one(); two(); ", "x/1.ts": "export function one() {}\n" };
    const workspace = { ...files, "2.ts": "export function two() {}\n" };
    const { context, open, root } = await workspaceOf(workspace);
    const shown = () =>
      gather(context, open("here.ts"), [], { offset: 14 }).map(({ path }) => path.slice(-4));
    assert.deepEqual(shown().sort(), ["1.ts", "2.ts"]);
    context.filesChanged([join(root, "x")], [join(root, "x")]);
    assert.deepEqual(shown(), ["2.ts"]);
    context.filesChanged([join(root, "2.ts")], [join(root, "2.ts")]);
    assert.deepEqual(shown(), []);
  });
  test("hides at once what the user's info/exclude begins to exclude", async () => {
    const files = { ".git/info/exclude": "", "own.ts": similar, "here.ts": parser };
    const { context, open, settle, wait, root } = await workspaceOf(files);
    const shown = () => gather(context, open("here.ts"), [open("own.ts")]).length;
    assert.equal(context.excludedBecause(open("own.ts").uri), null);
    assert.equal(shown(), 1);
    writeFileSync(join(root, ".git/info/exclude"), "own.ts\n");
    wait(5000);
    assert.equal(context.excludedBecause(open("here.ts").uri), null); // as each request asks
    assert.equal(shown(), 0);
    await settle();
    assert.equal(context.statistics.files, 1);
  });
  test("takes the window of a long file that is alike", () => {
    const tab = document(
      "a.ts",
      other.repeat(48) + "parseNumber expectDigit\n".repeat(24) + other.repeat(48),
    );
    assert.equal(
      gather(new Context(), here, [tab])[0]!.text,
      "parseNumber expectDigit\n".repeat(24),
    );
  });
  test("leaves out what does not fit, and takes what is smaller", () => {
    const big = document("big.ts", `${similar}// ${"x".repeat(100)}`);
    const small = document("small.ts", "parseNumber(expectDigit)");
    const snippets = gather(new Context(), here, [big, small], { budgetTokens: 60 });
    assert.deepEqual(
      snippets.map(({ path }) => path),
      ["small.ts"],
    );
  });
  test("shows nothing of what is excluded", () => {
    const context = new Context();
    context.useRules(["secret.ts"]);
    const tab = document("file:///p/secret.ts", similar);
    assert.deepEqual(gather(context, here, [tab]), []);
    assert.equal(gather(new Context(), here, [tab]).length, 1);
  });
  test("drops what is excluded from now on, though it was pinned", () => {
    const context = new Context();
    const tab = document("file:///p/later.ts", similar);
    assert.equal(gather(context, here, [tab]).length, 1);
    context.useRules(["later.ts"]);
    assert.deepEqual(gather(context, here, [tab]), []);
  });
  test("drops what a folder of the workspace excludes, once it is one", () => {
    const context = new Context();
    context.useRules(["/own/"]);
    const tab = document("file:///c:/p/own/later.ts", similar); // a file's path on Windows too
    assert.equal(gather(context, here, [tab]).length, 1);
    context.useFolders([fileOf("file:///c:/p")!]);
    assert.deepEqual(gather(context, here, [tab]), []);
    context.close();
  });

  test("shows the declarations of what is imported", async () => {
    const { context, open, settle } = await workspaceOf({
      "src/a.ts": 'import { readDigit } from "./b";\nreadDigit(',
      "src/b.ts":
        "/** Reads one. */\nexport function readDigit(text: string): number {\n  return Number(text);\n}\n",
    });
    context.changed(open("src/a.ts"));
    await settle();
    const [snippet] = gather(context, open("src/a.ts"), [], { offset: 42 });
    assert.equal(snippet!.source, "import");
    assert.equal(snippet!.text, "// Reads one.\nexport function readDigit(text: string): number\n");
    context.close();
  });
  test("keeps nothing of a document that is closed while its imports are found", async () => {
    const { context, open, settle } = await workspaceOf({ "a.ts": 'import { b } from "./b";\n' });
    const { imports } = context as unknown as { imports: ImportedFiles };
    const { uri } = open("a.ts");
    const finding = imports.find(open("a.ts"));
    context.closed(uri);
    await finding;
    assert.equal(imports.of(uri), null);
    context.changed(open("a.ts"));
    await settle();
    assert.deepEqual(imports.of(uri), []);
    const over = await (context as unknown as { finding: Promise<unknown> }).finding;
    assert.equal(over, undefined); // no chain of all that was found
    context.close();
  });
  test("shows the declarations of what is named, without an import", async () => {
    const { context, open } = await workspaceOf({
      "a.ts": "const x = readDigit(",
      "lib/b.ts": "export function readDigit(text: string): number {\n  return 1;\n}\n",
    });
    const [snippet] = gather(context, open("a.ts"), [], { offset: 20 });
    assert.deepEqual(
      [snippet!.source, snippet!.text],
      ["symbol", "export function readDigit(text: string): number\n"],
    );
    context.close();
  });
  test("shows what was edited in another file, as it is now", async () => {
    const { context, open } = await workspaceOf({
      "a.ts": "run(1)\n",
      "b.ts": "let first = 10;\n",
    });
    const b = open("b.ts");
    context.changed(b);
    context.changed({ ...b, version: 2, text: "let first = 12;\nlet second = 13;\n" });
    const [snippet] = gather(context, open("a.ts"), []);
    assert.deepEqual(
      [snippet!.source, snippet!.text],
      ["edit", "let first = 12;\nlet second = 13;\n"],
    );
    context.close();
  });
  test("shows no edits of languages in which Ringside is off", async () => {
    const { context, open } = await workspaceOf({ "a.ts": "run(1)\n" });
    const notes = document("untitled:Untitled-1", "", "plaintext");
    context.changed(notes);
    context.changed({ ...notes, version: 2, text: "staging db: postgres://admin@db\n" });
    const shown = () => gather(context, open("a.ts"), []).map(({ source }) => source);
    assert.deepEqual(shown(), ["edit"]);
    context.useLanguages(["plaintext", "markdown"]);
    assert.deepEqual(shown(), []);
    context.close();
  });
  test("shows where the user was, though that file is closed", async () => {
    const { context, open } = await workspaceOf({
      "a.ts": "run(1)\n",
      "b.ts": "let visitedHere = 10;\n",
    });
    gather(context, open("b.ts"), []);
    context.closed(open("b.ts").uri);
    const [snippet] = gather(context, open("a.ts"), []);
    assert.deepEqual([snippet!.source, snippet!.text], ["visited", "let visitedHere = 10;\n"]);
    context.close();
  });
  test("shows definitions that the editor knows", async () => {
    const context = new Context();
    context.useDefinitions({
      definitionsNear: async () => [
        { uri: "file:///lib/d.ts", line: 3, text: "declare function d(): void;\n" },
      ],
    });
    assert.deepEqual(gather(context, here, []), []);
    context.changed(here);
    const sources = () => gather(context, here, []).map(({ source }) => source);
    for (const end = Date.now() + 5000; sources().length === 0 && Date.now() < end; ) {
      await delay(5); // once what it imports has been looked for, too
    }
    assert.deepEqual(sources(), ["definition"]);
    context.close();
  });
  test("goes without an editor that fails", async () => {
    const context = new Context();
    context.useDefinitions({ definitionsNear: () => Promise.reject(new Error("no")) });
    gather(context, here, []);
    await delay(5);
    assert.deepEqual(gather(context, here, []), []);
  });

  test("keeps its choice while the user types, and while a tab changes", () => {
    const context = new Context();
    const tab = document("a.ts", similar);
    const first = gather(context, here, [tab]);
    assert.equal(gather(context, { ...here, version: 2, text: other }, [tab]), first);
    assert.equal(gather(context, here, [{ ...tab, version: 2, text: other }]), first);
  });
  test("chooses anew in another file", () => {
    const context = new Context();
    const tab = document("a.ts", similar);
    assert.equal(gather(context, here, [tab]).length, 1);
    assert.deepEqual(
      gather(context, document("file:///p/c.ts", other), [tab]).map(({ source }) => source),
      ["visited"],
    );
  });
  test("chooses anew after a pause", async () => {
    const { context, wait } = await workspaceOf({});
    assert.deepEqual(gather(context, here, []), []);
    const tab = document("a.ts", similar);
    assert.deepEqual(gather(context, here, [tab]), []);
    wait(31_000);
    assert.equal(gather(context, here, [tab]).length, 1);
  });
  test("appends behind what is shown after a move, and moves nothing", () => {
    const context = new Context();
    const file = document(
      "file:///p/long.ts",
      `${parser}${long("first", 40)}${long("second", 40)}`,
    );
    const tabs = [
      document("one.ts", long("first", 20)),
      document("two.ts", long("second", 20).slice(0, 300)),
    ];
    const budget = { budgetTokens: 4000 };
    const before = gather(context, file, [tabs[0]!], { ...budget, offset: 100 });
    assert.equal(gather(context, file, tabs, { ...budget, offset: 130 }), before);
    const moved = gather(context, file, tabs, { ...budget, offset: file.text.length - 200 });
    assert.deepEqual(moved.slice(0, before.length), before);
    assert.equal(moved.length, before.length + 1);
  });

  test("shortens a path to its last three parts", () => {
    assert.equal(shortPath("file:///a/b/c/d%20e.ts"), "b/c/d e.ts");
    assert.equal(shortPath("C:\\a\\b\\100%.ts"), "a/b/100%.ts");
    assert.equal(shortPath("a.ts"), "a.ts");
  });
  test("shortens any text", () => assert.equal(shortPath("a/%FF.ts"), "a/%FF.ts"));
});
