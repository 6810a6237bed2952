"""Samples to token shards: rows of `length` + 1 tokens, and for each token the features it takes.

A shard is an .npz: tokens uint16 [rows, length + 1], set_of uint16 [rows, length + 1] (rows of
`features`, 0: none), features bool [sets, F]. Samples follow one another in a row; what came
before a <|file_sep|> is another file, as in the prompts that the server builds. `places` int32
[middles, 3] holds each middle's row, the index of its <|fim_middle|>, and the index behind its
end.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import numpy as np
from tokenizer import END, FILE_SEP, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, Encoder

BATCH = 512  # samples encoded at once


def tokens_of(sample: dict, ids: list[list[int]]) -> tuple[list[int], int]:
    """The sample's tokens, and the index of <|fim_middle|> in them (their number where there is
    none)."""
    if "middle" not in sample:
        path, text = ids
        tokens = [FILE_SEP, *path, *text, END]
        return tokens, len(tokens)
    path, prefix, middle, suffix = ids
    head = [FILE_SEP, *path, FIM_SUFFIX, *suffix, FIM_PREFIX, *prefix]
    return [*head, FIM_MIDDLE, *middle, END], len(head)


class Rows:
    """Fills rows of `width` tokens: samples with a middle whole, the gaps with running text."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.tokens: list[list[int]] = []
        self.sets: list[list[int]] = []
        self.places: list[tuple[int, int, int]] = []
        self.text: list[int] = []  # left to right samples, one after another
        self.used = 0  # of them
        self.row: list[int] = []
        self.row_set: list[int] = []

    def add(self, tokens: list[int], middle: int, features: int) -> None:
        if len(tokens) > self.width:
            return
        if len(self.row) + len(tokens) > self.width:
            self.end_row()
        first = len(self.row)
        self.row += tokens
        self.row_set += [0] * middle + [features] * (len(tokens) - middle)
        self.places.append((len(self.tokens), first + middle, first + len(tokens)))

    def end_row(self) -> None:
        gap = self.width - len(self.row)
        piece = self.text[self.used : self.used + gap]
        self.used += gap
        piece += [END] * (gap - len(piece))
        self.tokens.append(self.row + piece)
        self.sets.append(self.row_set + [0] * gap)
        self.row, self.row_set = [], []

    def end(self) -> None:
        if self.row:
            self.end_row()
        text, width = self.text[self.used :], self.width
        whole = [text[i : i + width] for i in range(0, len(text) - width + 1, width)]
        self.tokens += whole
        self.sets += [[0] * width] * len(whole)


def encoded_samples(lines: list[str], encoder: Encoder):
    """(sample, ids of its parts) of each line."""
    for start in range(0, len(lines), BATCH):
        samples = [json.loads(line) for line in lines[start : start + BATCH]]
        texts = []
        for sample in samples:
            keys = ["prefix", "middle", "suffix"] if "middle" in sample else ["text"]
            texts += [sample["path"] + "\n", *(sample[key] for key in keys)]
        encoded = iter(encoder.encode_many(texts))
        for sample in samples:
            yield sample, [next(encoded) for _ in range(4 if "middle" in sample else 2)]


def pack(
    files: list[pathlib.Path], encoder: Encoder, length: int, n_features: int, seed: int
) -> dict:
    """Arrays of a shard (see above), samples and rows in random order."""
    random = np.random.default_rng(seed)
    lines = [line for file in files for line in file.read_text().splitlines()]
    random.shuffle(lines)
    sets: dict[tuple, int] = {(): 0}
    rows = Rows(length + 1)
    for sample, ids in encoded_samples(lines, encoder):
        tokens, middle = tokens_of(sample, ids)
        if "middle" in sample:
            key = tuple(sample["features"])
            rows.add(tokens, middle, sets.setdefault(key, len(sets)))
        else:
            rows.text += tokens
    rows.end()
    features = np.zeros((len(sets), n_features), dtype=bool)
    for key, index in sets.items():
        features[index, list(key)] = True
    order = random.permutation(len(rows.tokens))
    places = np.array(rows.places, dtype=np.int32).reshape(-1, 3)
    places[:, 0] = np.argsort(order)[places[:, 0]]
    return {
        "tokens": np.array(rows.tokens, dtype=np.uint16)[order],
        "set_of": np.array(rows.sets, dtype=np.uint16)[order],
        "features": features,
        "places": places,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    n_features = len(json.loads(arguments.config.read_text())["syntax_features"])
    encoder = Encoder(arguments.tokenizer)
    arrays = pack(arguments.samples, encoder, arguments.length, n_features, arguments.seed)
    np.savez(arguments.out, **arrays)
    used = (arrays["tokens"] != END).mean()
    print(f"{arrays['tokens'].size / 1e6:.1f} M tokens, {used:.1%} of them text,", end=" ")
    print(f"{len(arrays['places'])} samples, {len(arrays['features'])} sets of features")
