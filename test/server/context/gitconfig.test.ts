import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { coreSetting } from "../../../server/context/gitconfig";

const check = (config: string, expected: string | undefined) =>
  assert.equal(coreSetting(config, "excludesFile"), expected);

suite("settings of git", () => {
  test("is not set", () => {
    check("", undefined);
    check("[user]\n\texcludesFile = a\n[core]\n\tbare = false\n", undefined);
    check('[core "a"]\n\texcludesFile = a\n', undefined);
    check("[core]\n# excludesFile = a\n", undefined);
  });
  test("is set, in any spelling", () => {
    check("[core]\n\texcludesFile = ~/.gitignore\n", "~/.gitignore");
    check("[user]\r\nname = x\r\n[Core]\r\nexcludesfile=a b\r\n", "a b");
    check("[core] EXCLUDESFILE = a ; mine\n", "a");
  });
  test("is set with quotes and escapes", () => {
    check('[core]\nexcludesFile = "a # b" # c\n', "a # b");
    check('[core]\nexcludesFile = "C:\\\\Users\\\\a\\"b"\n', 'C:\\Users\\a"b');
  });
  test("is true where only its name stands", () => {
    const ignoresCase = (config: string) => coreSetting(config, "ignoreCase");
    assert.equal(ignoresCase("[core]\n\tignorecase\n"), "true");
    assert.equal(ignoresCase("[core]\n\tignorecase ; as here\n"), "true");
    assert.equal(ignoresCase("[core]\n\tignorecase = \n"), "");
    assert.equal(ignoresCase("[core]\n\tignorecases = true\n"), undefined);
  });
  test("is what was set last", () => {
    check("[core]\nexcludesFile = a\n[user]\n[core]\nexcludesFile = b\n", "b");
    check("[core]\nexcludesFile = a\nexcludesFile =\n", "");
  });
});
