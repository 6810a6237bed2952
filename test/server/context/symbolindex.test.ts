import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Background } from "../../../server/context/background";
import { Exclusion } from "../../../server/context/exclusion";
import { fileOf } from "../../../server/context/paths";
import { SymbolIndex } from "../../../server/context/symbolindex";
import { Walk } from "../../../server/context/walk";

const made: string[] = [];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const define = (name: string) => `export function ${name}() {}\n`;

/** An index over a folder that holds `files`, finished. */
async function indexOf(files: Readonly<Record<string, string>>, prepare = (_root: string) => {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "ringside-index-")));
  const root = fileOf(pathToFileURL(folder).href)!; // as the server spells a drive
  made.push(root);
  for (const [path, text] of Object.entries(files)) write(root, path, text);
  prepare(root);
  const exclusion = new Exclusion();
  exclusion.useFolders([root]);
  const index = new SymbolIndex(exclusion, new Background());
  index.useFolders([root]);
  await index.idle();
  const names = () => {
    const all = ["a", "b", "c", "d", "e"];
    return all.filter((name) => index.find(name).length > 0).join("");
  };
  return { root, index, names };
}

/** Which of the functions a, b, c... are found in a folder that holds `files`. */
async function check(
  files: Readonly<Record<string, string>>,
  expected: string,
  prepare?: (root: string) => void,
) {
  const { names } = await indexOf(files, prepare);
  assert.equal(names(), expected);
}

suite("workspace index", () => {
  test("finds definitions in all folders and languages", () =>
    check(
      { "a.ts": define("a"), "x/y/b.py": "def b(): pass", "x/c.go": "package x\nfunc c() {}" },
      "abc",
    ));
  test("says where they are", async () => {
    const { index, root } = await indexOf({ "x/a.ts": `\n${define("a")}` });
    const [found] = index.find("a");
    assert.deepEqual(
      [found!.path, found!.line, found!.signature],
      [join(root, "x/a.ts"), 1, "export function a()"],
    );
    assert.equal(index.definitionsOf(join(root, "x/a.ts")).length, 1);
    assert.equal(index.statistics.files, 1);
  });
  test("leaves out what is installed, hidden, ignored or secret", () =>
    check(
      {
        "node_modules/x/a.js": define("a"),
        ".cache/b.ts": define("b"),
        "dist/c.js": define("c"),
        ".gitignore": "dist",
        ".aws/d.py": "def d(): pass",
        "e.ts": define("e"),
      },
      "e",
    ));
  test("leaves out what no person wrote", () =>
    check(
      {
        "a.js": `${define("a")}// ${"x".repeat(6000)}`,
        "b.ts": define("b").repeat(30_000),
        "c.ts": `${define("c")}\0`,
        "d.js": `function d() {${"f();".repeat(300)}}`,
        "e.ts": define("e"),
      },
      "e",
    ));
  test("follows no links, so none in a circle", () =>
    check({ "x/a.ts": define("a"), "elsewhere/b.ts": define("b") }, "ab", (root) => {
      symlinkSync(root, join(root, "x", "up"));
      symlinkSync(join(root, "nowhere.ts"), join(root, "c.ts"));
    }));
  test("goes on behind what can't be read", () =>
    check(
      { "x/a.ts": define("a"), "b.ts": define("b") },
      process.getuid?.() === 0 || process.platform === "win32" ? "ab" : "b", // has no such rights
      (root) => chmodSync(join(root, "x"), 0),
    ));
  test("bears a folder that is not there", async () => {
    const index = new SymbolIndex(new Exclusion(), new Background());
    index.useFolders([join(tmpdir(), "ringside-no-such-folder")]);
    await index.idle();
    assert.equal(index.statistics.files, 0);
  });
  test("reads a changed file anew, and a new one", async () => {
    const { index, root, names } = await indexOf({ "1.ts": define("a") });
    write(root, "1.ts", define("b"));
    write(root, "2.ts", define("c"));
    index.filesChanged([join(root, "1.ts"), join(root, "2.ts")]);
    await index.idle();
    assert.equal(names(), "bc");
  });
  test("passes by what appears where a walk passes by", async () => {
    const { index, root, names } = await indexOf({ "x/1.ts": define("a") });
    const files = {
      ".history/x/1.ts": define("b"),
      "x/node_modules/c/1.js": define("c"),
      "x/venv/d.py": "def d(): pass",
      "x/.e.ts": define("e"), // a hidden file is none of those
    };
    for (const [path, text] of Object.entries(files)) write(root, path, text);
    const paths = [...Object.keys(files), ".history", "x/node_modules", "x/node_modules/c"];
    index.filesChanged(paths.map((path) => join(root, path)));
    await index.idle();
    assert.equal(names(), "ae");
    index.want([join(root, "x/node_modules/c/1.js")]); // which something imports
    await index.idle();
    assert.equal(names(), "ace");
    write(root, "x/node_modules/c/1.js", define("d"));
    index.filesChanged([join(root, "x/node_modules/c/1.js")]);
    await index.idle();
    assert.equal(names(), "ade");
  });
  test("forgets a file that is gone, and all files of a folder", async () => {
    const { index, root, names } = await indexOf({
      "1.ts": define("a"),
      "x/2.ts": define("b"),
      "x/y/3.ts": define("c"),
      "4.ts": define("d"),
    });
    rmSync(join(root, "1.ts"));
    renameSync(join(root, "x"), join(root, "z"));
    index.filesChanged([join(root, "1.ts"), join(root, "x")]);
    await index.idle();
    assert.equal(names(), "d");
    index.filesChanged([join(root, "z")]);
    await index.idle();
    assert.equal(names(), "bcd");
    assert.equal(index.statistics.definitions, 3);
    renameSync(join(root, "z"), join(root, "My.Folder"));
    index.filesChanged([join(root, "z"), join(root, "My.Folder")]);
    await index.idle();
    assert.equal(names(), "bcd");
    assert.deepEqual(index.filesIn(join(root, "z")), []);
    rmSync(join(root, "My.Folder"), { recursive: true });
    index.filesChanged([join(root, "My.Folder", "y")]); // as some say it, the deepest alone
    await index.idle();
    assert.equal(names(), "bd");
  });
  test("walks no folder that appears and is ignored", async () => {
    const { index, root, names } = await indexOf({ ".gitignore": "out/\n", "1.ts": define("a") });
    write(root, "out/2.ts", define("b"));
    write(root, ".cache/3.ts", define("c"));
    write(root, "x/4.ts", define("d"));
    index.filesChanged(["out", ".cache", "x"].map((folder) => join(root, folder)));
    await index.idle();
    assert.equal(names(), "ad");
  });
  test("takes an open document's text before its file's", async () => {
    const { index, root, names } = await indexOf({ "1.ts": define("a") });
    const uri = pathToFileURL(join(root, "1.ts")).href;
    index.changed({ uri, languageId: "typescript", version: 1, text: define("b") });
    await index.idle();
    assert.equal(names(), "b");
    index.filesChanged([join(root, "1.ts")]);
    await index.idle();
    assert.equal(names(), "b");
    index.closedDocument(uri);
    await index.idle();
    assert.equal(names(), "a");
  });
  test("takes open documents that are no files", async () => {
    const { index, names } = await indexOf({});
    const open = { languageId: "python", version: 1, text: "def a(): pass" };
    index.changed({ uri: "untitled:Untitled-1", ...open });
    index.changed({ uri: "vscode-remote://host/p/.env", ...open, text: "def b(): pass" });
    await index.idle();
    assert.equal(names(), "a");
  });
  test("takes no open document that is too large for a file", async () => {
    const { index, names } = await indexOf({});
    const open = { uri: "untitled:Untitled-1", languageId: "typescript", version: 1 };
    index.changed({ ...open, text: define("a") });
    await index.idle();
    assert.equal(names(), "a");
    index.changed({ ...open, text: define("a") + "// a line\n".repeat(60_000) });
    await index.idle();
    assert.equal(names(), "");
  });
  test("counts what it keeps, back to nothing", async () => {
    const { index, root } = await indexOf({
      "1.ts": define("a") + define("b"),
      "2.ts": define("a"),
    });
    assert.equal(index.find("a").length, 2);
    for (const name of ["1.ts", "2.ts"]) rmSync(join(root, name));
    index.filesChanged([join(root, "1.ts"), join(root, "2.ts")]);
    await index.idle();
    assert.deepEqual(index.statistics, { files: 0, definitions: 0, bytes: 0 });
  });
  test("keeps nothing that was begun before the folders changed", async () => {
    const { index, root, names } = await indexOf({ "1.ts": define("a").repeat(3000) });
    const other = realpathSync(mkdtempSync(join(tmpdir(), "ringside-index-")));
    made.push(other);
    write(other, "2.ts", define("b"));
    index.filesChanged([join(root, "1.ts")]);
    await new Promise((resolve) => setTimeout(resolve, 8));
    index.useFolders([other]);
    await index.idle();
    assert.equal(names(), "b");
  });
  test("walks no folder that was found before the folders changed", async () => {
    const { root } = await indexOf({ "inside/1.ts": define("a") });
    const background = { due: true, rest: async () => walk.clear() } as unknown as Background;
    const walk = new Walk(new Exclusion(), background);
    walk.add(root);
    assert.deepEqual(await walk.next(), []);
    assert.ok(walk.done);
  });
  test("reads C++ in a .h as C++", () => check({ "1.h": "namespace n {\nvoid a();\n}\n" }, "a"));
  test("ends at once when it is closed", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [`${i}.ts`, define("a").repeat(50)]),
    );
    const root = mkdtempSync(join(tmpdir(), "ringside-index-"));
    made.push(root);
    for (const [path, text] of Object.entries(files)) write(root, path, text);
    const background = new Background();
    const index = new SymbolIndex(new Exclusion(), background);
    index.useFolders([root]);
    await background.rest();
    index.close();
    background.close();
    await index.idle();
    assert.ok(index.statistics.files < 200);
  });
});
