import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { suite, test } from "node:test";
import { createPathsMatcher } from "get-tsconfig";
import { candidatesOf, type Project } from "../../../server/context/resolve";

const folder = resolve("/w"); // with a drive, where there are any
const project: Project = {
  folder,
  goModule: { folder, name: "example.org/app" },
  aliases: createPathsMatcher({
    path: join(folder, "tsconfig.json"),
    config: { compilerOptions: { paths: { "@/*": ["./src/*"], config: ["./etc/config"] } } },
  }),
};

/** `expected`, from the workspace folder on, is among the first to be tried for the import `from` in `path`. */
function check(languageId: string, path: string, from: string, expected: string | null) {
  const found = candidatesOf(languageId, from, join(folder, path), project);
  if (expected === null) assert.deepEqual(found, []);
  else assert.ok(found.includes(join(folder, expected)), `${found.join("\n")}\nlack ${expected}`);
}

suite("resolving imports", () => {
  test("of TypeScript", () => {
    check("typescript", "src/a.ts", "./b", "src/b.ts");
    check("typescript", "src/a.ts", "../lib", "lib/index.ts");
    check("typescript", "src/a.ts", "./b.js", "src/b.ts");
    check("javascript", "src/a.js", "./b.mjs", "src/b.mjs");
    check("typescript", "src/x/a.ts", "@/c/d", "src/c/d.ts");
    check("typescript", "a.ts", "config", "etc/config.ts");
    check("typescript", "a.ts", "react", null);
  });
  test("prefers a .ts to the .js that is built from it", () =>
    assert.equal(
      candidatesOf("typescript", "./b.js", join(folder, "a.ts"), project)[0],
      join(folder, "b.ts"),
    ));
  test("of Python", () => {
    check("python", "pkg/a.py", ".b", "pkg/b.py");
    check("python", "pkg/sub/a.py", "..b.c", "pkg/b/c.py");
    check("python", "pkg/a.py", ".", "pkg/__init__.py");
    check("python", "pkg/sub/a.py", "pkg.d", "pkg/d.py");
    check("python", "tests/a.py", "pkg", "src/pkg/__init__.py");
  });
  test("of Go", () => {
    check("go", "cmd/main.go", "example.org/app/store", "store");
    check("go", "cmd/main.go", "fmt", null);
  });
  test("of Rust", () => {
    check("rust", "src/main.rs", "crate::a::b::C", "src/a/b.rs");
    check("rust", "src/a/b.rs", "super::c", "src/a/c.rs");
    check("rust", "src/a/mod.rs", "self::d", "src/a/d.rs");
    check("rust", "src/lib.rs", "self::e", "src/e/mod.rs");
  });
  test("of C++", () => {
    check("cpp", "src/x/a.cpp", "b.h", "src/x/b.h");
    check("cpp", "src/x/a.cpp", "lib/b.h", "include/lib/b.h");
  });
  test("of Java", () =>
    check("java", "src/main/java/p/q/A.java", "p.r.B", "src/main/java/p/r/B.java"));
  test("of a language without imports", () => check("plaintext", "a.txt", "./b", null));
});
