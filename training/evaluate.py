"""What a model is worth on files of packages that nothing was trained on.

Bits per byte, each file alone, beside `xz -9e` of the file and an order-5 model of bytes
(ngram.py); the loss on held-out middles with the syntax features and with them withheld; what
quantization cost. `--json` prints one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import pathlib
import random
from collections.abc import Iterator

import copying
import ngram
import numpy as np
import torch
from copying import Copier
from folder import read, read_checkpoint
from model import Config, Ringside
from tokenizer import END, FILE_SEP, Encoder
from torch import Tensor

WINDOW = 2048  # tokens, as in training
OVERLAP = 512  # tokens of a window that the one before has been judged by
BATCH = 4  # windows, or rows of middles, at once


def documents(corpus: pathlib.Path, split: str) -> Iterator[dict]:
    with open(corpus) as lines:
        for line in lines:
            document = json.loads(line)
            if document["split"] == split:
                yield document


def heldout_files(corpus: pathlib.Path, count: int, max_bytes: int) -> list[dict]:
    """`count` files of at most `max_bytes`, as many of each language as there are."""
    languages: dict[str, list[dict]] = {}
    for document in documents(corpus, "heldout"):
        if len(document["text"].encode()) <= max_bytes:
            languages.setdefault(document["language"], []).append(document)
    chosen = []
    for index, (_, found) in enumerate(sorted(languages.items(), key=lambda item: len(item[1]))):
        random.Random(0).shuffle(found)
        chosen += found[: (count - len(chosen)) // (len(languages) - index)]
    return chosen


def windows_of(ids: list[int], head: list[int]) -> Iterator[tuple[list[int], int]]:
    """(tokens, how many of the last ones are judged): every token of `ids` is judged once."""
    size = WINDOW - len(head)
    start, judged = 0, 0
    while judged < len(ids):
        piece = ids[start : start + size]
        yield head + piece, start + len(piece) - judged
        judged = start + len(piece)
        start = judged - OVERLAP


@torch.no_grad()
def score(
    model: Ringside,
    tokens: Tensor,
    features: Tensor,
    set_of: Tensor,
    copier: Copier | None = None,
) -> tuple[Tensor, Tensor]:
    """tokens [B, T] -> nats [B, T-1] of each token given those before, and whether it was the
    likeliest. `copier`: how the model copies; none: the model alone."""
    logits = model(tokens[:, :-1], features, set_of[:, :-1])
    targets = tokens[:, 1:]
    if copier:
        rows = [
            copying.mixed(
                logits[row],
                targets[row].tolist(),
                copier.votes_of(tokens[row, :-1].tolist()),
                copier.shares,
            )
            for row in range(len(tokens))
        ]
        return torch.stack([nats for nats, _ in rows]), torch.stack([hits for _, hits in rows])
    nats = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
    return nats, logits.argmax(-1) == targets


def score_files(
    model: Ringside, encoder: Encoder, files: list[dict], copier: Copier | None = None
) -> tuple[list[float], float]:
    """Bits of each file (its end included, its path given), and the share of tokens guessed
    right."""
    work = []
    for index, file in enumerate(files):
        head = [FILE_SEP, *encoder.encode(file["path"] + "\n")]
        ids = [*encoder.encode(file["text"]), END]
        work += [(index, tokens, judged) for tokens, judged in windows_of(ids, head)]
    work.sort(key=lambda item: len(item[1]))
    bits, right, total = [0.0] * len(files), 0, 0
    no_features = torch.zeros(1, len(model.config.syntax_features))
    for start in range(0, len(work), BATCH):
        batch = work[start : start + BATCH]
        longest = len(batch[-1][1])
        tokens = torch.tensor([t + [END] * (longest - len(t)) for _, t, _ in batch])
        nats, hits = score(model, tokens, no_features, torch.zeros_like(tokens), copier)
        for row, (index, window, judged) in enumerate(batch):
            part = slice(len(window) - 1 - judged, len(window) - 1)
            bits[index] += float(nats[row, part].sum()) / math.log(2)
            right, total = right + int(hits[row, part].sum()), total + judged
    return bits, right / total


def score_rows(
    model: Ringside, shard: dict, rows: int, gate: bool, copier: Copier | None = None
) -> dict[str, np.ndarray]:
    """On the shard's first rows: `middles` [n, 3], nats, tokens and tokens guessed right of each
    middle; `text` [rows], mean nats a token of each whole row."""
    places = shard["places"][shard["places"][:, 0] < rows]
    features = torch.from_numpy(shard["features"].astype(np.float32))
    middles, text = [], []
    for start in range(0, rows, BATCH):
        some = slice(start, min(rows, start + BATCH))
        tokens = torch.from_numpy(shard["tokens"][some].astype(np.int64))
        set_of = torch.from_numpy(shard["set_of"][some].astype(np.int64))
        given = set_of if gate else torch.zeros_like(set_of)
        nats, hits = score(model, tokens, features, given, copier)
        text += nats.mean(-1).tolist()
        for row, first, end in places[(places[:, 0] >= start) & (places[:, 0] < some.stop)]:
            part = slice(first, end - 1)
            sums = float(nats[row - start, part].sum()), int(hits[row - start, part].sum())
            middles.append((sums[0], end - 1 - first, sums[1]))
    return {"middles": np.array(middles, dtype=float), "text": np.array(text)}


def of_middles(scored: dict[str, np.ndarray]) -> dict[str, float]:
    nats, tokens, right = scored["middles"].sum(0)
    return {"natsPerToken": nats / tokens, "tokenAccuracy": right / tokens}


def difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Of the losses of b and a, [mean, standard error] in nats a token: over middles, over rows."""
    tokens = a["middles"][:, 1]
    middles = b["middles"][:, 0] - a["middles"][:, 0]
    mean = middles.sum() / tokens.sum()
    error = np.sqrt(((middles - mean * tokens) ** 2).sum()) / tokens.sum()
    text = b["text"] - a["text"]
    return {
        "middles": [float(mean), float(error)],
        "text": [float(text.mean()), float(text.std() / len(text) ** 0.5)],
    }


def baselines(
    corpus: pathlib.Path, files: list[dict], cache: pathlib.Path
) -> dict[str, list[float]]:
    """Bits of each file by xz and by the byte model, which takes minutes: kept beside the
    corpus."""
    name = f"{len(files)} files, {sum(len(file['text']) for file in files)} characters"
    if cache.exists() and json.loads(cache.read_text())["of"] == name:
        return json.loads(cache.read_text())
    texts = [file["text"].encode() for file in files]
    xz = [8.0 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) for text in texts]
    training = (document["text"].encode() for document in documents(corpus, "train"))
    found = {"of": name, "xz": xz, "ngram": ngram.bits(training, texts)}
    cache.write_text(json.dumps(found))
    return found


def evaluate(arguments: argparse.Namespace) -> dict:
    files = heldout_files(arguments.corpus, arguments.files, arguments.max_bytes)
    sizes = [len(file["text"].encode()) for file in files]
    base = baselines(arguments.corpus, files, arguments.corpus.with_name("baselines.json"))
    encoder = Encoder(arguments.model / "tokenizer.json")
    model = read(arguments.model)
    bits, accuracy = score_files(model, encoder, files)
    values = {
        "bitsPerByte": bits,
        "xzBitsPerByte": base["xz"],
        "ngramBitsPerByte": base["ngram"],
    }
    shares = model.config.copy_shares
    copier = Copier.of(arguments.model, shares) if shares else None
    if copier:
        values["copyingBitsPerByte"], copying_accuracy = score_files(model, encoder, files, copier)

    def per_byte(of: list[int]) -> dict[str, float]:
        size = sum(sizes[i] for i in of)
        return {name: sum(all_bits[i] for i in of) / size for name, all_bits in values.items()}

    result = {
        "files": len(files),
        "bytes": sum(sizes),
        **per_byte(list(range(len(files)))),
        "filesBetterThanXz": sum(b < x for b, x in zip(bits, base["xz"], strict=True)),
        "filesBetterThanNgram": sum(b < n for b, n in zip(bits, base["ngram"], strict=True)),
        "tokenAccuracy": accuracy,
        "languages": {},
    }
    for language in sorted({file["language"] for file in files}):
        of = [i for i, file in enumerate(files) if file["language"] == language]
        size = sum(sizes[i] for i in of)
        result["languages"][language] = {"files": len(of), "bytes": size, **per_byte(of)}
    if arguments.checkpoint:
        trained = read_checkpoint(
            arguments.checkpoint, Config.load(arguments.model / "config.json")
        )
        trained_bits, trained_accuracy = score_files(trained, encoder, files)
        result["unquantizedBitsPerByte"] = sum(trained_bits) / sum(sizes)
        result["unquantizedTokenAccuracy"] = trained_accuracy
        result["accuracyKept"] = accuracy / trained_accuracy
    if arguments.middles:
        shard = dict(np.load(arguments.middles))
        rows = min(arguments.rows, len(shard["tokens"]))
        with_features = score_rows(model, shard, rows, gate=True)
        without = score_rows(model, shard, rows, gate=False)
        result["middles"] = of_middles(with_features)
        result["middlesWithoutFeatures"] = of_middles(without)
        result["featuresGain"] = difference(with_features, without)["middles"]
    if copier:
        result["copyingTokenAccuracy"] = copying_accuracy
    if copier and arguments.middles:
        result["copyingMiddles"] = of_middles(score_rows(model, shard, rows, True, copier))
    return result


def table(result: dict) -> str:
    lines = [
        f"{'held-out files':14} {'files':>5} {'kB':>6} {'model':>7} {'xz -9e':>7} {'order 5':>7}"
    ]
    rows = {**result["languages"], "all": result}
    for name, row in rows.items():
        numbers = (row["bitsPerByte"], row["xzBitsPerByte"], row["ngramBitsPerByte"])
        shown = " ".join(f"{number:7.3f}" for number in numbers)
        lines.append(f"{name:14} {row['files']:5} {row['bytes'] / 1e3:6.0f} {shown}")
    lines.append("bits per byte; each file alone")
    for name in (
        "tokenAccuracy",
        "unquantizedBitsPerByte",
        "unquantizedTokenAccuracy",
        "accuracyKept",
        "copyingBitsPerByte",
        "copyingTokenAccuracy",
    ):
        if name in result:
            lines.append(f"{name} {result[name]:.4f}")
    for name in ("middles", "middlesWithoutFeatures", "copyingMiddles"):
        if name in result:
            row = result[name]
            lines.append(
                f"{name} {row['natsPerToken']:.4f} nats/token, {row['tokenAccuracy']:.4f} right"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a model folder")
    parser.add_argument("--corpus", type=pathlib.Path, required=True, help="corpus.jsonl")
    parser.add_argument("--checkpoint", type=pathlib.Path, help="what the model was exported from")
    parser.add_argument("--middles", type=pathlib.Path, help="a shard of held-out samples")
    parser.add_argument("--rows", type=int, default=120, help="of the shard")
    parser.add_argument("--files", type=int, default=150)
    parser.add_argument("--max-bytes", type=int, default=64 << 10, help="of a file")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    measured = evaluate(chosen)
    print(table(measured))
    if chosen.json:
        print(json.dumps(measured))
