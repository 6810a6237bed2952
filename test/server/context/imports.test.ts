import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { importsOf } from "../../../server/context/imports";
import { languages } from "../../../server/languages";

/** Each import of `text` as `from: names`. */
function check(languageId: string, text: string, expected: readonly string[]) {
  const found = importsOf(languageId, text).map(({ from, names }) => `${from}: ${names.join(" ")}`);
  assert.deepEqual(found, expected);
}

suite("imports", () => {
  test("of TypeScript", () => {
    check("typescript", 'import { a, type B, c as d } from "./x";', ["./x: a B c"]);
    check("typescript", 'import type { A } from "./x";\nimport D, { e } from "y";', [
      "./x: A",
      "y: D e",
    ]);
    check(
      "typescript",
      'import * as all from "./x";\nexport * from "./y";\nexport { z } from "./z";',
      ["./x: ", "./y: ", "./z: z"],
    );
    check("typescript", 'import {\n  a, // first\n  b,\n} from "./x";', ["./x: a b"]);
  });
  test("of JavaScript's older modules", () =>
    check("javascript", "const { a, b: c } = require('./x');\nconst d = require(\"./y\")", [
      "./x: a b",
      "./y: d",
    ]));
  test("of Python", () => {
    check("python", "import os, a.b as c\nfrom .x import y as z, w", ["os: ", "a.b: ", ".x: y w"]);
    check("python", "from . import (\n    a,  # first\n    b,\n)", [".: a b"]);
  });
  test("of Go", () =>
    check("go", 'import "a/b"\nimport (\n\t"fmt"\n\tx "c/d"\n)', ["a/b: ", "fmt: ", "c/d: "]));
  test("of Rust", () =>
    check(
      "rust",
      "use crate::a::B;\nuse super::c::{D, E as F};\nmod g;\npub mod h { }\nuse std::fs;",
      ["crate::a::B: B", "super::c: D E", "self::g: "],
    ));
  test("of C++", () => check("cpp", '#include "a/b.h"\n#include <vector>', ["a/b.h: "]));
  test("of Java", () =>
    check("java", "package p;\nimport a.b.C;\nimport static a.D.e;", ["a.b.C: C", "a.D.e: e"]));
  test("of a language without imports", () => check("plaintext", 'import "a"', []));
  test("of an import that is being written", () =>
    check("typescript", 'import { a } from "./x";\nimport { b } from ', ["./x: a"]));
  test("takes time that grows with the text alone", () => {
    const word = fc.constantFrom(
      "import ",
      "from ",
      "{",
      "}",
      "(",
      '"',
      "'",
      "use ",
      "::",
      "\n",
      " ",
      "a",
    );
    const text = fc.array(word, { maxLength: 30 }).map((words) => words.join("").repeat(300));
    fc.assert(
      fc.property(fc.constantFrom(...languages.map(({ id }) => id)), text, (languageId, long) => {
        const start = performance.now();
        importsOf(languageId, long);
        assert.ok(performance.now() - start < 1000);
      }),
      { numRuns: 60 },
    );
  });
});
