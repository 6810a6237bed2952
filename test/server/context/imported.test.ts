import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { after, suite, test } from "node:test";
import { Background } from "../../../server/context/background";
import { Exclusion } from "../../../server/context/exclusion";
import { ImportedFiles } from "../../../server/context/imported";
import { uriOf } from "../../../server/context/paths";
import { SymbolIndex } from "../../../server/context/symbolindex";

const made: string[] = [];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

/** What src/main.ts with `text` imports in a workspace of `files`, from the workspace folder on. */
async function check(files: Record<string, string>, text: string, expected: string[]) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "ringside-imported-")));
  made.push(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const [exclusion, background] = [new Exclusion(), new Background()];
  exclusion.useFolders([folder]);
  const index = new SymbolIndex(exclusion, background);
  const imported = new ImportedFiles(exclusion, index);
  const uri = uriOf(join(folder, "src", "main.ts"));
  await imported.find({ uri, languageId: "typescript", version: 1, text });
  const found = imported.of(uri)!.map(({ path }) => relative(folder, path).split(sep).join("/"));
  assert.deepEqual(found, expected);
  index.close();
  background.close();
}

const use = (...from: string[]) => from.map((name) => `import { a } from "${name}";\n`).join("");

suite("imported files", () => {
  const files = { "src/a.ts": "", "src/lib/b.ts": "", "etc/c.ts": "" };

  test("are those that are there", () =>
    check(files, use("./a", "./lib/b.js", "./missing"), ["src/a.ts", "src/lib/b.ts"]));
  test("are found by a configuration with comments, and what it extends", () =>
    check(
      {
        ...files,
        "tsconfig.json": '{ // of the app\n "extends": "./etc/base.json", }',
        "etc/base.json": '{ "compilerOptions": { "paths": { "~/*": ["../src/lib/*"] } } }',
      },
      use("~/b"),
      ["src/lib/b.ts"],
    ));
  test("are found by the longest pattern that fits", () =>
    check(
      {
        ...files,
        "tsconfig.json":
          '{ "compilerOptions": { "paths": { "@/*": ["./src/*"], "@/x/*": ["./etc/*"] } } }',
      },
      use("@/x/c", "@/a"),
      ["etc/c.ts", "src/a.ts"],
    ));
  test("are found without a configuration that makes no sense", () =>
    check({ ...files, "tsconfig.json": '{ "compilerOptions": ' }, use("./a", "@/a"), ["src/a.ts"]));
});
