// A model's syntax features mean in the server what they meant in training:
// node --import tsx --test test/training/features.test.ts
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { syntaxAt, syntaxFeatureNames } from "../../server/syntax";

const root = join(__dirname, "../..");
const fixtures = join(root, "test/fixtures/syntax");
const scratch = mkdtempSync(join(tmpdir(), "ringside-samples-"));
after(() => rmSync(scratch, { recursive: true }));

interface Sample {
  readonly language: string;
  readonly prefix?: string;
  readonly middle?: string;
  readonly suffix?: string;
  readonly features?: readonly number[];
}

const lines = (path: string) => readFileSync(path, "utf8").trimEnd().split("\n");
const samples = lines(join(fixtures, "samples.jsonl")).map((line) => JSON.parse(line) as Sample);
const cut = samples.filter(({ middle }) => middle !== undefined);

/** The names of the features at a sample's cursor. */
function names({ features = [] }: Sample): string[] {
  return features.map((index) => syntaxFeatureNames[index] ?? `none has index ${index}`);
}

suite("syntax features", () => {
  test("are the server's at the cursor of the text without its middle", () => {
    assert.ok(cut.length > 20);
    for (const sample of cut) {
      const { language, prefix = "", suffix = "" } = sample;
      const { features } = syntaxAt(language, prefix + suffix, prefix.length);
      assert.deepEqual(sample.features, features, `${language}: ${prefix.slice(-40)}|`);
    }
  });

  test("name the language of every sample, and where it is", () => {
    for (const sample of cut) {
      assert.ok(names(sample).includes(`language:${sample.language}`));
      assert.ok(names(sample).some((name) => name.startsWith("within:")));
    }
  });

  test("come out of the documents as they did when the model was trained", () => {
    const out = join(scratch, "samples.jsonl");
    const script = [join(root, "training/samples.ts"), join(fixtures, "documents.jsonl"), out];
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", ...script, "heldout", "7"],
      { cwd: root, encoding: "utf8" },
    );
    assert.equal(status, 0, stderr);
    assert.deepEqual(lines(out), lines(join(fixtures, "samples.jsonl")));
  });

  for (const config of ["models/ringside-small/config.json", "training/configs/small.json"]) {
    test(`are in the order of ${config}`, () => {
      const text = readFileSync(join(root, config), "utf8");
      const listed = (JSON.parse(text) as { syntax_features: string[] }).syntax_features;
      assert.deepEqual(listed, syntaxFeatureNames);
    });
  }
});
