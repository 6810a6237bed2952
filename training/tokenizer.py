"""The tokenizer: byte-level BPE over pieces that a cursor's line breaks never cut in two.

`train` learns it from a corpus; `Encoder` turns text into ids, special tokens only where asked for.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>")
END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, FILE_SEP = range(len(SPECIALS))

# A word with the blank before it; one digit; line breaks with the indentation behind them (so an
# indentation is mostly one token); a run of punctuation; white space; control characters.
PATTERN = (
    (
        r" ?[A-Za-z_\u0080-\U0010FFFF]+|[0-9]|[\r\n]+[ \t]*| ?[!-/:-@\[-^`{-~]+|[ \t\f\v]+"
        r"|[\x00-\x08\x0e-\x1f\x7f]"
    )
    .replace(r"\u0080", "\u0080")
    .replace(r"\U0010FFFF", "\U0010ffff")
)

SAMPLE_BYTES = 24 << 20  # beyond this, merges hardly change
LANGUAGE_SHARE = 0.3  # of the sample, at most, to one language


def train(corpus: pathlib.Path, vocabulary: int) -> Tokenizer:
    """A Tokenizer of `vocabulary` tokens, the specials first, from the training split of
    corpus.jsonl."""
    documents: dict[str, list[str]] = {}
    with open(corpus) as lines:
        for line in lines:
            document = json.loads(line)
            if document["split"] == "train":
                documents.setdefault(document["language"], []).append(document["text"])
    sample: list[str] = []
    for texts in documents.values():
        random.Random(0).shuffle(texts)
        left = SAMPLE_BYTES * LANGUAGE_SHARE
        for text in texts:
            if left < 0:
                break
            sample.append(text)
            left -= len(text)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=32,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


class Encoder:
    """Text to ids; what looks like a special token in the text is encoded as the text it is."""

    def __init__(self, path: pathlib.Path) -> None:
        settings = json.loads(path.read_text())
        self.vocabulary = len(settings["model"]["vocab"])
        settings["added_tokens"] = []  # so that text can't spell one
        self.tokenizer = Tokenizer.from_str(json.dumps(settings))

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: list[str]) -> list[list[int]]:
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [one.ids for one in encoded]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="tokenizer.json")
    arguments = parser.parse_args()
    train(arguments.corpus, arguments.vocabulary).save(str(arguments.out))
