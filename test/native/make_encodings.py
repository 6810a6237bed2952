#!/usr/bin/env python3
"""Tokens by Hugging Face `tokenizers`, for comparing.

make_encodings.py                    writes tiny/tokenizer.json and encodings.json of the fixtures
make_encodings.py compare [FOLDER]   encodes random texts and these sources with the addon
                                     and with `tokenizers`; ends with 1 where they differ

Needs tokenizers; to compare also Node and the addon (node native/build.mjs).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).parents[2]
OUT = ROOT / "test" / "fixtures" / "native"

PATTERN = (
    " ?[A-Za-z_\u0080-\U0010ffff]+|[0-9]|[\\r\\n]+[ \\t]*"
    "| ?[!-/:-@\\[-^`{-~]+|[ \\t\\f\\v]+|[\\x00-\\x08\\x0e-\\x1f\\x7f]"
)
SPECIAL = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>"]

SAMPLE = """
def check(value, limit=10):
    if value is None or value > limit:
        return [value + 1 for value in range(limit)]
    self.items = {name: item.value for name, item in self.items}
export function check(value: string): number {
  const items = this.items.map((item) => item.value);
  return items.length > 0 ? items[0] : undefined;
}
for (int i = 0; i < count; i++) { total += values[i]; }
"""

TEXTS = [
    "",
    " ",
    "a",
    "def check(value):\n    return value + 12\n",
    "\t\tif (x !== 'y') {\r\n\t\t\treturn;\r\n\t\t}\n\n\n",
    "   three spaces and  two ",
    "naïve café 日本語 🙂 \u0085\u00a0x",
    "<|endoftext|> is only text, <|fim_middle|> too",
    "\x00\x01\x1f\x7f\x0b\x0c mixed \x0bcontrols",
    "a__b___C9_9 1234567890",
    "!!==>> :: /* */ `{}` ~^[\\]",
    "value" * 40,
]


def make_tokenizer() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SAMPLE], trainer)
    return tokenizer


def text_tokens(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """Tokens of `text` where the special tokens' names are text too."""
    without = {**json.loads(tokenizer.to_str()), "added_tokens": []}
    plain = tokenizers.Tokenizer.from_str(json.dumps(without))
    return plain.encode(text, add_special_tokens=False).ids


ENCODE = """
const { Engine } = require(process.argv[1]);
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
Engine.load(process.argv[2]).then((engine) => {
  console.log(JSON.stringify(texts.map((text) => Array.from(engine.encode(text)))));
});
"""

ALPHABETS = [
    "ab _9.({\n\t ",
    "value items return check \n    ",
    "".join(map(chr, range(128))),
    "\u00e9\u00df\u0080\u00a0 \u65e5\u672c\U0001f642 a1\r\n",
]


def random_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return [
        "".join(rng.choice(rng.choice(ALPHABETS)) for _ in range(rng.randrange(200)))
        if rng.random() < 0.5
        else "".join(rng.choices(rng.choice(ALPHABETS), k=rng.randrange(200)))
        for _ in range(count)
    ]


def compare(folder: Path) -> int:
    """The number of texts whose tokens differ."""
    layers = ("native", "kernels", "server")
    sources = [path for layer in layers for path in sorted((ROOT / layer).glob("*"))]
    texts = random_texts(5000) + TEXTS
    texts += [path.read_text(encoding="utf8") for path in sources if path.is_file()]
    index = str(ROOT / "native" / "index.js")
    done = subprocess.run(
        ["node", "-e", ENCODE, index, str(folder)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    wrong = 0
    for text, tokens in zip(texts, json.loads(done.stdout), strict=True):
        if tokens != text_tokens(tokenizer, text):
            wrong += 1
            print(f"differs: {text[:60]!r}")
    print(f"{len(texts)} texts, {sum(map(len, texts))} characters, {wrong} differ")
    return wrong


def write() -> None:
    tokenizer = make_tokenizer()
    (OUT / "tiny").mkdir(parents=True, exist_ok=True)
    (OUT / "tiny" / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    encodings = [dict(text=text, tokens=text_tokens(tokenizer, text)) for text in TEXTS]
    (OUT / "encodings.json").write_text(json.dumps(encodings, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        sys.exit(compare(Path(sys.argv[2] if len(sys.argv) > 2 else OUT / "tiny")) != 0)
    write()
