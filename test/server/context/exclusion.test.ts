import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Exclusion } from "../../../server/context/exclusion";
import { fileOf, pathOf } from "../../../server/context/paths";

const made: string[] = [];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});
before(() => useHome({})); // whoever runs this may ignore anything

/** A folder that holds `files`, by path. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ringside-exclusion-"));
  made.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** From now on, the user's folder holds `files`. */
function useHome(files: Readonly<Record<string, string>>): string {
  const home = folderWith(files);
  Object.assign(process.env, { HOME: home, USERPROFILE: home });
  delete process.env.XDG_CONFIG_HOME;
  return home;
}

function exclusionOf(folder: string, rules: readonly string[] = []): Exclusion {
  const exclusion = new Exclusion();
  exclusion.useFolders([folder]);
  exclusion.useRules(rules);
  return exclusion;
}

/** Why `path` in a folder that holds `files` is excluded has to match `expected`. */
function check(
  files: Readonly<Record<string, string>>,
  rules: readonly string[],
  path: string,
  expected: RegExp | null,
) {
  const folder = folderWith(files);
  const because = exclusionOf(folder, rules).because(pathToFileURL(join(folder, path)).href);
  if (expected === null) assert.equal(because, null);
  else assert.match(String(because), expected);
}

/** The same of a URI, without folders. */
function checkUri(uri: string, rules: readonly string[], expected: RegExp | null) {
  const exclusion = new Exclusion();
  exclusion.useRules(rules);
  const because = exclusion.because(uri);
  if (expected === null) assert.equal(because, null);
  else assert.match(String(because), expected);
}

suite("exclusion", () => {
  test("shows what nothing excludes", () => check({}, ["*.sql"], "src/a.ts", null));
  test("says which secret pattern it is", () =>
    check({}, [], "src/.env.local", /^usually holds secrets \(\.env\.\*\)$/));
  test("says which of the user's patterns it is", () =>
    check(
      {},
      ["/gen/", "*.sql"],
      "gen/a.ts",
      /^excluded by the setting "excludedFiles" \(\/gen\/\)$/,
    ));
  test("takes the user's patterns from the workspace folder on", () =>
    check({}, ["/gen/"], "src/gen/a.ts", null));
  test("takes a folder's own patterns there alone, beside the user's", () => {
    const [one, other] = [folderWith({ "gen/a.ts": "" }), folderWith({ "gen/a.ts": "" })];
    const exclusion = new Exclusion();
    exclusion.useFolders([one, other]);
    const own = new Map([[one, ["/gen/", "!a.sql"]]]);
    assert.equal(exclusion.useRules(["*.sql"], own), true);
    assert.equal(exclusion.useRules(["*.sql"], own), false);
    const because = (folder: string, path: string) => exclusion.becauseFile(join(folder, path));
    assert.match(String(because(one, "gen/a.ts")), /excludedFiles" \(\/gen\/\)/);
    assert.equal(because(other, "gen/a.ts"), null);
    assert.match(String(because(one, "a.sql")), /excludedFiles/);
    assert.match(String(because(other, "a.sql")), /excludedFiles/);
    assert.equal(exclusion.useRules(["*.sql"]), true);
    assert.equal(because(one, "gen/a.ts"), null);
  });
  test("takes the user's exceptions", () => check({}, ["*.sql", "!a.sql"], "a.sql", null));
  test("lets no exception of the user reveal a secret", () =>
    check({}, ["!.env"], ".env", /secrets/));
  test("says which line of .gitignore it is", () =>
    check(
      { ".gitignore": "dist/\n" },
      [],
      "dist/a.js",
      /^ignored by git \(dist\/ in .*\.gitignore\)$/,
    ));
  test("reads nested .gitignore files", () => {
    check({ "a/.gitignore": "*.log\n" }, [], "a/b/c.log", /a\/\.gitignore|a\\\.gitignore/);
    check({ "a/.gitignore": "*.log\n" }, [], "c.log", null);
  });
  test("lets the deeper .gitignore decide", () =>
    check({ ".gitignore": "*.log\n", "a/.gitignore": "!keep.log\n" }, [], "a/keep.log", null));
  test("shows what is in a folder that a deeper .gitignore brings back", () => {
    const files = {
      ".gitignore": "build/\n*.log\n",
      ".git/info/exclude": "b*\n",
      "tools [1]/.gitignore": "!build/\n",
    };
    check(files, [], "tools [1]/build/a.ts", null);
    check(files, [], "tools [1]/build/c/a.ts", null);
    check(files, [], "tools [1]/build/a.log", /ignored by git \(\*\.log /);
    check(files, [], "tools [1]/build/c/build/a.ts", null);
    check(files, [], "build/a.ts", /ignored by git/);
    check(files, [], "tools 1/build/a.ts", /ignored by git/);
  });
  test("brings nothing back from an ignored folder", () =>
    check({ ".gitignore": "a/\n", "a/.gitignore": "!b.ts\n" }, [], "a/b.ts", /ignored by git/));
  test("reads the repository's info/exclude", () =>
    check({ ".git/info/exclude": "notes.ts\n" }, [], "notes.ts", /exclude\)/));
  test("reads a worktree's info/exclude", () => {
    const main = folderWith({
      ".git/info/exclude": "notes.ts\n",
      ".git/worktrees/w/commondir": "../..\n",
    });
    const gitdir = join(main, ".git", "worktrees", "w");
    check({ ".git": `gitdir: ${gitdir}\n` }, [], "notes.ts", /exclude\)/);
  });
  test("reads a submodule's info/exclude", () => {
    const git = folderWith({ "info/exclude": "notes.ts\n" });
    check({ ".git": `gitdir: ${git}\n` }, [], "notes.ts", /exclude\)/);
  });
  test("reads the info/exclude of a repository inside of the workspace folder", () => {
    const files = { "a/.git/info/exclude": "/notes.ts\n", "a/.gitignore": "" };
    check(files, [], "a/notes.ts", /exclude\)/);
    check(files, [], "notes.ts", null);
    check({ ...files, "a/.gitignore": "!notes.ts\n" }, [], "a/notes.ts", null);
  });
  test("takes capitals as git does", () => {
    const files = { ".gitignore": "MANIFEST\n", ".git/HEAD": "" };
    const config = (value: string) => ({ ".git/config": `[core]\n\tignorecase${value}\n` });
    check(files, [], "MANIFEST/a.ts", /ignored by git/);
    check(files, [], "src/manifest/a.ts", null);
    for (const value of [" = false", " = 0", " = no", " ="]) {
      check({ ...files, ...config(value) }, [], "src/manifest/a.ts", null);
    }
    for (const value of [" = true", " = Yes", " = 1", ""]) {
      check({ ...files, ...config(value) }, [], "src/manifest/a.ts", /ignored by git/);
      const nested = { ...config(value), ".git/HEAD": "", "a/.gitignore": "Gen/\n" };
      check(nested, [], "a/gen/b.ts", /ignored by git/);
    }
  });
  test("ends the rules of a repository where another one in it begins", () => {
    const own = { "lib/.git/HEAD": "", "lib/.gitignore": "/gen/\n" };
    const files = { ".git/info/exclude": "a.ts\n", ".gitignore": "*.c\nold/\n", ...own };
    check(files, [], "b.c", /ignored by git/);
    check(files, [], "lib/b.c", null);
    check(files, [], "lib/src/a.ts", null);
    check(files, [], "lib/gen/b.ts", /ignored by git/);
    check({ ...files, "old/lib/.git": "gitdir: x\n" }, [], "old/lib/b.ts", /ignored by git/);
    const { ".git/info/exclude": _, ...workspace } = files; // which is no repository itself
    check(workspace, [], "lib/b.c", null);
  });
  test("reads the user's own patterns, for repositories", () => {
    useHome({ ".config/git/ignore": "*.own.ts\n/top.ts\n" });
    const git = { ".git/HEAD": "" };
    check(git, [], "src/a.own.ts", /^ignored by git \(\*\.own\.ts in .*ignore\)$/);
    check(git, [], "top.ts", /ignored by git/);
    check(git, [], "src/top.ts", null);
    check({}, [], "a.own.ts", null);
    check({ ...git, ".gitignore": "!b.own.ts\n" }, [], "b.own.ts", null);
    check({ ...git, ".git/info/exclude": "!b.own.ts\n" }, [], "b.own.ts", null);
    useHome({});
  });
  test("reads the user's own patterns where git's configuration says they are", () => {
    const files = { ".config/git/ignore": "a.ts\n", "mine/own": "b.ts\n", other: "c.ts\n" };
    const config = (file: string) => `[core]\n\texcludesFile = ${file}\n`;
    const home = useHome({ ...files, ".gitconfig": config("~/mine/own") });
    const git = { ".git/HEAD": "" };
    check(git, [], "a.ts", null);
    check(git, [], "b.ts", /ignored by git/);
    const repository = { ".git/config": config(join(home, "other").replaceAll("\\", "/")) };
    check(repository, [], "b.ts", null);
    check(repository, [], "c.ts", /ignored by git/);
    check({ ".git/config": config("own"), own: "d.ts\n" }, [], "d.ts", /ignored by git/);
    check({ ".git/config": config("") }, [], "b.ts", null);
    useHome({ ...files, ".config/git/config": config("~/other") });
    check(git, [], "c.ts", /ignored by git/);
    process.env.XDG_CONFIG_HOME = folderWith({ "git/ignore": "e.ts\n" });
    check(git, [], "e.ts", /ignored by git/);
    check(git, [], "c.ts", null);
    useHome({});
  });
  test("reads the .gitignore above a workspace folder, up to the repository", () => {
    const root = folderWith({ ".git/HEAD": "", ".gitignore": "packages/*/gen\n" });
    mkdirSync(join(root, "packages/a"), { recursive: true });
    const exclusion = exclusionOf(join(root, "packages/a"));
    const because = (path: string) => exclusion.because(pathToFileURL(join(root, path)).href);
    assert.match(String(because("packages/a/gen/x.ts")), /ignored by git/);
    assert.equal(because("packages/a/src/x.ts"), null);
  });
  test("reads the .gitignore of a file that is in no workspace folder", () => {
    const files = { ".git/HEAD": "", ".gitignore": "/out/\n*.log.ts\n" };
    const folder = folderWith({ ...files, "src/a.ts": "", "out/deep/b.ts": "" });
    for (const exclusion of [new Exclusion(), exclusionOf(folderWith({}))]) {
      const because = (path: string) => exclusion.because(pathToFileURL(join(folder, path)).href);
      assert.match(String(because("out/deep/b.ts")), /ignored by git/);
      assert.match(String(because("src/a.log.ts")), /ignored by git/);
      assert.equal(because("src/a.ts"), null);
    }
  });
  const links = { skip: process.platform === "win32" ? "links to files take a privilege" : false };
  test("excludes a file by whichever link it is reached", links, () => {
    const folder = folderWith({
      ".gitignore": "/own/\n",
      ...{ ".env": "", "own/a.ts": "", "src/b.ts": "", "sql/c.ts": "" },
    });
    for (const [name, to] of Object.entries({
      "notes.txt": ".env",
      "a.ts": "own/a.ts",
      "b.ts": "src/b.ts",
      "c.ts": "sql/c.ts",
    })) {
      symlinkSync(join(folder, to), join(folder, name));
    }
    const elsewhere = join(folderWith({}), "link");
    symlinkSync(folder, elsewhere, "junction");
    for (const root of [folder, elsewhere]) {
      const exclusion = exclusionOf(root, ["/sql/"]);
      const because = (name: string) => exclusion.because(pathToFileURL(join(root, name)).href);
      assert.match(String(because("notes.txt")), /secrets/);
      assert.match(String(because("a.ts")), /ignored by git/);
      assert.match(String(because("c.ts")), /excludedFiles/);
      assert.equal(because("b.ts"), null);
      assert.equal(because("src/b.ts"), null);
    }
  });
  test("reads .gitignore again once it is told to", () => {
    const folder = folderWith({ ".gitignore": "" });
    const exclusion = exclusionOf(folder);
    assert.equal(exclusion.becauseFile(join(folder, "a.ts")), null);
    writeFileSync(join(folder, ".gitignore"), "a.ts\n");
    assert.equal(exclusion.becauseFile(join(folder, "a.ts")), null);
    exclusion.forgetGitIgnores();
    assert.match(String(exclusion.becauseFile(join(folder, "a.ts"))), /ignored by git/);
  });
  test("sees that a file has changed which no editor watches", () => {
    const home = useHome({});
    const repository = folderWith({ ".git/config": "[core]\n", "packages/a/src/a.ts": "" });
    const folder = join(repository, "packages/a");
    const exclusion = exclusionOf(folder);
    const ignored = () => exclusion.becauseFile(join(folder, "src/a.ts")) !== null;
    let now = 0;
    const refresh = () => {
      now += 3000;
      return exclusion.refresh(now);
    };
    /** Whether it is seen that `path` has `text` now, and whether the file is ignored then. */
    const write = (path: string, text: string) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      return [refresh(), ignored()];
    };
    assert.deepEqual([ignored(), refresh()], [false, false]);
    const [seen, silent] = [
      [true, false],
      [true, true],
    ];
    assert.deepEqual(write(join(repository, ".gitignore"), "a.ts\n"), silent);
    assert.deepEqual(write(join(repository, ".gitignore"), "b.ts\n"), seen);
    assert.deepEqual(write(join(repository, ".git/info/exclude"), "/packages/a/src/\n"), silent);
    assert.deepEqual(write(join(repository, ".git/info/exclude"), ""), seen);
    assert.deepEqual(write(join(home, ".config/git/ignore"), "A.ts\n"), seen);
    const config = (text: string) => write(join(repository, ".git/config"), `[core]\n${text}`);
    assert.deepEqual(config("ignorecase = true\n"), silent);
    assert.deepEqual(config("ignorecase = true\n[branch]\nmerge = a\n"), [false, true]);
    assert.deepEqual(config("ignorecase = false\n"), seen);
    writeFileSync(join(folder, ".gitignore"), "a.ts\n"); // the editor says that of its own accord
    assert.equal(refresh(), false);
  });
  test("looks at such files every few seconds only", () => {
    const repository = folderWith({ ".git/info/exclude": "", "a/b.ts": "" });
    const exclusion = exclusionOf(join(repository, "a"));
    assert.equal(exclusion.refresh(0), false);
    exclusion.becauseFile(join(repository, "a/b.ts"));
    writeFileSync(join(repository, ".git/info/exclude"), "b.ts\n");
    assert.equal(exclusion.refresh(2999), false);
    assert.equal(exclusion.refresh(3000), true);
  });
  test("knows secrets by URIs of every scheme", () => {
    for (const uri of [
      "file:///home/u/p/.env",
      "file:///c%3A/p/%2Eenv",
      "vscode-remote://ssh-remote%2Bhost/p/.env",
      "vscode-notebook-cell:/p/.env#W0sZmlsZQ%3D%3D",
      "untitled:/p/.env",
      "untitled:.env",
      "C:\\p\\.env",
      "git:/p/.env?%7B%22ref%22%3A%22HEAD%22%7D",
    ]) {
      checkUri(uri, [], /secrets/);
    }
    checkUri("untitled:Untitled-1", [], null);
  });
  test("takes a notebook's cells and unsaved files for the files that they are", () => {
    const folder = folderWith({ ".git/HEAD": "", ".gitignore": "/out/\n" });
    const exclusion = exclusionOf(folder, ["/own/*.ipynb"]);
    const path = (name: string) => new URL(`${pathToFileURL(folder).href}/${name}`).pathname;
    for (const scheme of [
      "vscode-notebook-cell:",
      "vscode-notebook-cell://ssh%2Bhost",
      "untitled:",
    ]) {
      const because = (name: string) => exclusion.because(`${scheme}${path(name)}#W0sZmlsZQ%3D%3D`);
      assert.match(String(because("own/a.ipynb")), /excludedFiles/);
      assert.match(String(because("out/a.ipynb")), /ignored by git/);
      assert.equal(because("src/a.ipynb"), null);
    }
  });
  test("takes the user's patterns from a folder whose URI ends with a /", () => {
    const folder = folderWith({});
    const uri = pathToFileURL(folder).href;
    const exclusion = exclusionOf(fileOf(`${uri}/`)!, ["/own/"]);
    assert.match(String(exclusion.because(`${uri}/own/a.ts`)), /excludedFiles/);
    assert.equal(exclusion.because(`${uri}/a.ts`), null);
  });
  test("takes the user's patterns outside of any folder", () => {
    checkUri("vscode-remote://wsl%2Bubuntu/p/a.sql", ["*.SQL"], /excludedFiles/);
    checkUri("untitled:Untitled-1", ["Untitled-*"], /excludedFiles/);
  });
  test("bears any pattern and any URI", () => {
    const rules = ["[z-a]", "\\", "!", "", "#", "[", "a{b", "/"];
    for (const uri of ["", "/", "file:", "file:///", "a:", "file://%FF/%FF", "../a", "./a", "%"]) {
      checkUri(uri, rules, null);
    }
  });
  test("parts a URI from its path", () => {
    assert.equal(pathOf("file:///c%3A/a/b.ts"), "c/a/b.ts");
    assert.equal(pathOf("file://server/share/b.ts"), "server/share/b.ts");
    assert.equal(pathOf("C:\\a\\b.ts"), "c/a/b.ts");
    assert.equal(pathOf("vscode-notebook-cell:/a/n.ipynb#W1"), "a/n.ipynb");
    assert.equal(fileOf("vscode-remote://ssh/a/b.ts"), null);
    assert.equal(fileOf(pathToFileURL("/a/b c.ts").href)?.endsWith("b c.ts"), true);
  });
});
