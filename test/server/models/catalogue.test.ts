import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import {
  type CatalogueModel,
  catalogue,
  choices,
  choose,
  find,
  folderOf,
  idOf,
  memoryBytes,
} from "../../../server/models/catalogue";
import { filesOf, loadable, shardsIn, type Variant } from "../../../server/models/files";

/** The ids of the models for which `holds` is false. */
function check(holds: (model: CatalogueModel) => boolean) {
  assert.deepEqual(
    catalogue.filter((model) => !holds(model)).map(({ id }) => id),
    [],
  );
}

/** The ids of the variants for which `holds` is false. */
function checkVariants(holds: (variant: Variant, id: string) => boolean) {
  assert.deepEqual(
    choices()
      .filter(({ variant }) => variant !== null)
      .filter((choice) => !holds(choice.variant!, idOf(choice)))
      .map(idOf),
    [],
  );
}

suite("catalogue", () => {
  test("has each id once, in small letters", () => {
    const ids = choices().map(idOf);
    assert.equal(new Set([...ids, ...catalogue.map(({ id }) => id)]).size > 30, true);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.every((id) => /^[a-z0-9._-]+$/.test(id)));
  });
  test("finds every model by every id", () => {
    for (const choice of choices()) assert.deepEqual(find(idOf(choice)), choice);
    for (const model of catalogue) assert.equal(find(model.id.toUpperCase())?.model, model);
  });
  test("takes the first variant where none is named", () => {
    assert.equal(find("qwen2.5-coder-3b")?.variant?.quantization, "Q4_K_M");
    assert.equal(find("qwen2.5-coder-3b-q8_0")?.variant?.quantization, "Q8_0");
    assert.equal(find("qwen2.5-coder-3b-q2_k"), null);
  });
  test("says which there are when one is not", () => {
    assert.throws(() => choose("qwen2.5-codr"), {
      code: "MODEL_NOT_FOUND",
      message: /no model "qwen2\.5-codr"\. Known are qwen2\.5-coder-0\.5b,.*ringside models/,
    });
    assert.throws(() => choose(""), { code: "MODEL_NOT_FOUND" });
  });
  test("has only what a figure can be", () => {
    check(({ parameters: { total, active } }) => active > 0 && active <= total && total < 100);
    check(
      ({ humanEval }) => humanEval === null || (humanEval.passAt1 > 0 && humanEval.passAt1 < 100),
    );
    check(({ humanEval }) => humanEval === null || humanEval.source.length > 5);
    check(({ tuning }) => tuning === "base" || tuning === "instruct");
    check(({ prompts }) => ["fim", "chat", "both"].includes(prompts));
    check(({ licence, name, family }) => [licence, name, family].every((text) => text.length > 2));
  });
  test("says of each model that does not fill in what to know", () =>
    check(({ prompts, note }) => prompts !== "chat" || note !== null));
  test("has files that can be asked for", () => {
    checkVariants(({ repository }) => /^[\w.-]+\/[\w.-]+$/.test(repository));
    checkVariants(({ revision }) => revision === "main" || /^[0-9a-f]{40}$/.test(revision));
    checkVariants(({ files }) => files.length > 0);
    checkVariants(({ files }) => files.every(({ path }) => /^[\w.-]+$/.test(path)));
    checkVariants(({ files }) =>
      files.every(({ sha256 }) => sha256 === null || /^[0-9a-f]{64}$/.test(sha256)),
    );
    checkVariants(
      ({ index, files }) => index !== null || files.every(({ path }) => path.endsWith(".gguf")),
    );
  });
  test("has no SHA-256 twice", () => {
    const all = choices().flatMap(
      ({ variant }) => variant?.files.map(({ sha256 }) => sha256) ?? [],
    );
    const known = all.filter((sha256) => sha256 !== null);
    assert.equal(new Set(known).size, known.length);
  });
  test("has sizes that add up, and that the parameters can have", () => {
    checkVariants(({ files, sizeIsExact, totalBytes }) => {
      const sum = files.reduce((total, { bytes }) => total + (bytes ?? Number.NaN), 0);
      return sizeIsExact ? sum === totalBytes : Number.isNaN(sum);
    });
    const bits: Record<string, [number, number]> = {
      Q4_K_M: [4.5, 8.1],
      Q8_0: [8, 11.2],
      BF16: [15, 17],
    };
    for (const { model, variant } of choices()) {
      if (variant === null) continue;
      const perParameter = (variant.totalBytes * 8) / (model.parameters.total * 1e9);
      const [least, most] = bits[variant.quantization]!;
      assert.ok(perParameter >= least && perParameter <= most, `${model.id} ${perParameter}`);
    }
  });
  test("counts the weights and the context into the memory", () => {
    const choice = choose("qwen2.5-coder-1.5b-q8_0");
    assert.equal(memoryBytes(choice, 0), 1_646_573_056);
    // 28 layers, 2 heads of 128 for keys and as many for values, 2 bytes each
    assert.equal(memoryBytes(choice, 1000) - memoryBytes(choice, 0), 28 * 2 * 128 * 2 * 2 * 1000);
  });
  test("names the model that comes with Ringside", () => {
    const choice = choose("ringside-small");
    assert.equal(choice.variant, null);
    assert.ok(statSync(join(__dirname, "../../../models", choice.model.id)).isDirectory());
  });
});

suite("files of a model", () => {
  const split = choose("qwen2.5-coder-7b-instruct-q8_0").variant!;
  const sharded = choose("ring-mini-linear-2.0").variant!;

  test("are a folder of their own", () =>
    assert.equal(folderOf(choose("qwen3-4b"), "/models"), join("/models", "qwen3-4b-q4_k_m")));
  test("are loaded by the first part", () => {
    assert.match(loadable("/m", split), /00001-of-00003\.gguf$/);
    assert.equal(filesOf(split).length, 3);
  });
  test("are loaded as a folder if they are shards", () =>
    assert.equal(loadable("/m", sharded), "/m"));
  test("have an index that lists the shards", () => {
    const paths = filesOf(sharded).map(({ path }) => path);
    assert.deepEqual(paths, ["config.json", "tokenizer.json", "model.safetensors.index.json"]);
    const map = { a: "model-2.safetensors", b: "model-1.safetensors", c: "model-2.safetensors" };
    const shards = shardsIn(sharded, JSON.stringify({ weight_map: map }));
    assert.deepEqual(
      shards.map(({ path }) => path),
      ["model-1.safetensors", "model-2.safetensors"],
    );
    assert.equal(shards[0]!.repository, "inclusionAI/Ring-mini-linear-2.0");
  });
  test("are none in what is no index", () => {
    for (const text of ["", "null", "[]", "{}", '{"weight_map":3}', "<html>"]) {
      assert.deepEqual(shardsIn(sharded, text), []);
    }
  });
});
