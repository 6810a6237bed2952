"""What follows in a text wherever its end stood before, mixed into what a model says: the Python
side of native/copy_model.h, and the fit of how much of it.

`python copying.py --model FOLDER --data train.npz` fits the shares and writes them into the
folder's config.json as "copy_shares". The rows are those that no training reads.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import heapq
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import torch
from folder import read
from tokenizer import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, SPECIALS
from tokenizers import Tokenizer
from torch import Tensor
from train import read_and_kept

MOST_MATCH = 12  # tokens
GROWTH = 5.0  # of a vote's weight, for each token that matches
MOST_MIXED = 64  # candidates


class CopyModel:
    """Where the end of the text stood before, each place votes for the token behind it.
    `breaks_line[token]`: whether its text holds a line break."""

    def __init__(self, breaks_line: Sequence[bool]) -> None:
        self.breaks_line = breaks_line
        self.text: list[int] = []
        self.places: dict[int, list[int]] = collections.defaultdict(list)
        self.behind: int | None = None  # the first token behind the cursor
        # With what ends each: what is behind the cursor in its line, and the next line with text.
        self.lines_behind = [range(0), range(0)]

    def append(self, token: int) -> None:
        self.places[token].append(len(self.text))
        self.text.append(token)

    def set_behind(self, first: int, last: int) -> None:
        """Of the text so far, [first, last) stands behind the cursor."""
        if first >= last:
            return
        self.behind = self.text[first]

        def next_break(start: int) -> int:
            places = range(start, last)
            return next((i for i in places if self.breaks_line[self.text[i]]), last)

        start = rest_end = next_break(first)
        while start < last and self.breaks_line[self.text[start]]:
            start += 1
        self.lines_behind = [
            range(first, min(rest_end + 1, last)),
            range(start, min(next_break(start) + 1, last)),
        ]

    def repeating(self) -> set[int]:
        """The places whose votes would go on with a line that so far says what one behind the
        cursor says."""
        text, so_far = self.text, 0
        while so_far < len(text) and not self.breaks_line[text[-1 - so_far]]:
            so_far += 1
        if so_far == 0:
            return set()
        return {
            line[so_far] - 1
            for line in self.lines_behind
            if so_far < len(line) and text[line[0] : line[so_far]] == text[-so_far:]
        }

    def votes(self) -> tuple[int, dict[int, float]]:
        """The tokens of the longest match, and how likely each candidate is: they sum to 1."""
        if not self.text:
            return 0, {}
        text, end, longest = self.text, len(self.text) - 1, 0
        repeating = self.repeating()
        weights: dict[int, float] = collections.defaultdict(float)
        for place in self.places[text[end]][:-1]:
            token = text[place + 1]
            if place in repeating:
                continue
            matched, most = 1, min(MOST_MATCH, place + 1)
            while matched < most and text[place - matched] == text[end - matched]:
                matched += 1
            longest = max(longest, matched)
            weights[END if token == self.behind else token] += GROWTH**matched
        kept = heapq.nlargest(MOST_MIXED, weights.items(), key=lambda item: (item[1], -item[0]))
        total = sum(weight for _, weight in kept)
        return longest, {token: weight / total for token, weight in kept}


@dataclasses.dataclass
class Copier:
    """How a model copies: `shares` by the tokens that match, and what CopyModel takes."""

    shares: list[float]
    breaks_line: list[bool]

    @classmethod
    def of(cls, folder: pathlib.Path, shares: list[float]) -> Copier:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        texts = (tokenizer.decode([token]) for token in range(tokenizer.get_vocab_size()))
        return cls(shares, ["\n" in text for text in texts])

    def votes_of(self, tokens: list[int]) -> list[tuple[int, dict[int, float]]]:
        """votes() behind each of a row's tokens. Special tokens mark parts and are no text; END
        begins another text."""
        model, votes = CopyModel(self.breaks_line), []
        behind = behind_end = 0
        for token in tokens:
            if token == END:
                model, behind = CopyModel(self.breaks_line), 0
            elif token == FIM_SUFFIX:
                behind = len(model.text)
            elif token == FIM_PREFIX:
                behind_end = len(model.text)
            elif token == FIM_MIDDLE:
                model.set_behind(behind, behind_end)
            elif token >= len(SPECIALS):
                model.append(token)
            votes.append(model.votes())
        return votes


def mixed(
    logits: Tensor,
    targets: list[int],
    votes: list[tuple[int, dict[int, float]]],
    shares: list[float],
) -> tuple[Tensor, Tensor]:
    """logits [T, V] -> nats [T] of each target, and whether it was the likeliest [T]."""
    log_p = logits.log_softmax(-1)
    top, best = log_p.max(-1)
    own = log_p.gather(-1, torch.tensor(targets)[:, None])[:, 0].exp().double().tolist()
    tops, bests = top.exp().double().tolist(), best.tolist()
    nats, hits = [], []
    for t, (matched, candidates) in enumerate(votes):
        share = shares[min(matched, len(shares) - 1)] if candidates else 0.0
        nats.append(-np.log((1 - share) * own[t] + share * candidates.get(targets[t], 0.0) + 1e-38))
        likeliest, chosen = (1 - share) * tops[t], bests[t]
        if share > 0:
            ids = list(candidates)
            theirs = log_p[t, ids].exp().double().tolist()
            for token, p in zip(ids, theirs, strict=True):
                both = (1 - share) * p + share * candidates[token]
                if both > likeliest or (token == bests[t] and both >= likeliest):
                    likeliest, chosen = both, token
        hits.append(chosen == targets[t])
    return torch.tensor(nats), torch.tensor(hits)


def fit(own: np.ndarray, copied: np.ndarray, matched: np.ndarray) -> list[float]:
    """The shares that make the targets likeliest: by the tokens matched, of the target's
    probabilities by the model and by the votes."""
    grid = np.concatenate([[0.0], np.linspace(0.01, 0.95, 95)])
    shares = [0.0]
    for n in range(1, MOST_MATCH + 1):
        p, c = own[matched == n], copied[matched == n]
        gains = [np.log((1 - s) * p + s * c + 1e-38).sum() for s in grid]
        shares.append(round(float(grid[int(np.argmax(gains))]), 2))
    return shares


@torch.no_grad()
def fitted(folder: pathlib.Path, data: pathlib.Path) -> list[float]:
    """The shares that fit the middles of the rows that were kept best: a completion is one."""
    model, copier = read(folder), Copier.of(folder, [])
    shard = dict(np.load(data))
    features = torch.from_numpy(shard["features"].astype(np.float32))
    own, copied, matched = [], [], []
    for row in read_and_kept(len(shard["tokens"]))[1]:
        tokens = torch.from_numpy(shard["tokens"][row : row + 1].astype(np.int64))
        set_of = torch.from_numpy(shard["set_of"][row : row + 1].astype(np.int64))
        log_p = model(tokens[:, :-1], features, set_of[:, :-1])[0].log_softmax(-1)
        votes = copier.votes_of(tokens[0, :-1].tolist())
        for _, first, end in shard["places"][shard["places"][:, 0] == row]:
            for t in range(first, end - 1):
                target = int(tokens[0, t + 1])
                own.append(float(log_p[t, target].exp()))
                copied.append(votes[t][1].get(target, 0.0))
                matched.append(votes[t][0])
    return fit(np.array(own), np.array(copied), np.array(matched))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a model folder")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the training shard")
    chosen = parser.parse_args()
    path = chosen.model / "config.json"
    shares = fitted(chosen.model, chosen.data)
    config = json.loads(path.read_text()) | {"copy_shares": shares}
    path.write_text(json.dumps(config, indent=2) + "\n")
    print(shares)
