import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { choose, folderOf } from "../../../server/models/catalogue";
import {
  completeMark,
  isThere,
  modelsDirectoryIn,
  resolveModel,
} from "../../../server/models/source";

const root = mkdtempSync(join(tmpdir(), "ringside-source-"));
after(() => rmSync(root, { recursive: true }));
const places = { bundled: join(root, "bundled"), modelsDirectory: join(root, "models") };

function put(...path: string[]): string {
  const file = join(root, ...path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "");
  return file;
}

/** `setting` means the model at `path`. */
function check(setting: string | null, kind: string, path: string) {
  const source = resolveModel(setting, places);
  assert.deepEqual([source.kind, source.path], [kind, path]);
}

/** `setting` means no model, which is said in such words. */
function checkNone(setting: string, message: RegExp, code = "MODEL_NOT_FOUND") {
  assert.throws(() => resolveModel(setting, places), { code, message });
}

suite("model source", () => {
  test("is the bundled model where nothing is set", () => {
    check(null, "bundled", places.bundled);
    check("ringside-small", "bundled", places.bundled);
  });
  test("is a folder or a .gguf file", () => {
    const file = put("own", "mine.GGUF");
    check(file, "local", file);
    check(dirname(file), "local", dirname(file));
    check(pathToFileURL(file).href, "local", file);
  });
  test("is a path from the home folder", () => check("~", "local", homedir()));
  test("says where nothing is", () => {
    checkNone(join(root, "nowhere.gguf"), /nothing at .*nowhere\.gguf/);
    checkNone("~/no such model/x.gguf", /nothing at /);
    checkNone("file://elsewhere.example/x.gguf", /names no file of this machine|nothing at/);
  });
  test("takes no path from nowhere", () => {
    checkNone("models/x", /from the root/);
    checkNone("./x.gguf", /from the root/);
    checkNone("x.gguf", /from the root/);
  });
  test("takes no other file", () =>
    checkNone(put("own", "notes.txt"), /neither a folder nor a \.gguf/, "MODEL_UNSUPPORTED"));
  test("says how to get a model that is not here", () => {
    checkNone(
      "qwen2.5-coder-7b",
      /is not downloaded\. "Ringside: Download a Model\.\.\.".*`ringside pull qwen2\.5-coder-7b-q4_k_m`.*4\.7 GB/,
    );
    checkNone("no-such-model", /There is no model "no-such-model"/);
  });
  test("is a downloaded model by its id", () => {
    const name = choose("qwen2.5-coder-3b").variant!.files[0]!.path;
    const file = put("models", "qwen2.5-coder-3b-q4_k_m", name);
    check("qwen2.5-coder-3b", "catalogue", file);
    check("Qwen2.5-Coder-3B-Q4_K_M", "catalogue", file);
    checkNone("qwen2.5-coder-3b-q8_0", /is not downloaded/);
  });
  test("is no model of which a part is missing", () => {
    const choice = choose("qwen2.5-coder-7b-instruct-q8_0");
    const paths = choice.variant!.files.map(({ path }) => path);
    const [first, ...others] = paths.map((path) => [
      "models",
      "qwen2.5-coder-7b-instruct-q8_0",
      path,
    ]);
    put(...first!);
    checkNone("qwen2.5-coder-7b-instruct-q8_0", /is not whole yet.*goes on where/);
    for (const path of others) put(...path);
    check("qwen2.5-coder-7b-instruct-q8_0", "catalogue", join(root, ...first!));
  });
  test("is no model in shards before the last one", () => {
    const choice = choose("ling-coder-lite");
    const { files, index } = choice.variant!;
    for (const name of [...files.map(({ path }) => path), index!])
      put("models", "ling-coder-lite-bf16", name);
    assert.equal(isThere(choice, places.modelsDirectory), false);
    put("models", "ling-coder-lite-bf16", completeMark);
    check("ling-coder-lite", "catalogue", folderOf(choice, places.modelsDirectory));
  });
});

suite("models directory", () => {
  test("is what is set", () => {
    assert.equal(modelsDirectoryIn("/big/disk"), "/big/disk");
    assert.equal(modelsDirectoryIn("~/models"), join(homedir(), "models"));
    assert.throws(() => modelsDirectoryIn("models"), { code: "BAD_REQUEST" });
  });
  test("is the platform's place for data", () => {
    const is = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv, expected: string) =>
      assert.equal(modelsDirectoryIn(null, platform, env), expected);
    const home = homedir();
    is("linux", {}, join(home, ".local/share/ringside/models"));
    is("linux", { XDG_DATA_HOME: "/data" }, join("/data/ringside/models"));
    is("linux", { XDG_DATA_HOME: "data" }, join(home, ".local/share/ringside/models"));
    is("darwin", {}, join(home, "Library/Application Support/ringside/models"));
    is("win32", { LOCALAPPDATA: "/local" }, join("/local/ringside/models"));
    is("win32", {}, join(home, "AppData/Local/ringside/models"));
  });
});
