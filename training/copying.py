"""What follows in a text wherever its end stood before, mixed into what a model says: the Python
side of native/copy_model.h, and the fit of how much of it.

`python copying.py --model FOLDER --data train.npz` fits the shares and writes them into the
folder's config.json as "copy_shares". The rows are the last of the order that training takes them
in, which a run of less than one pass has not seen.
"""

from __future__ import annotations

import argparse
import collections
import heapq
import json
import pathlib

import numpy as np
import torch
from folder import read
from tokenizer import END, SPECIALS
from torch import Tensor

MOST_MATCH = 12  # tokens
GROWTH = 5.0  # of a vote's weight, for each token that matches
MOST_MIXED = 64  # candidates


class CopyModel:
    """Where the end of the text stood before, each place votes for the token behind it."""

    def __init__(self) -> None:
        self.text: list[int] = []
        self.places: dict[int, list[int]] = collections.defaultdict(list)

    def append(self, token: int) -> None:
        self.places[token].append(len(self.text))
        self.text.append(token)

    def votes(self) -> tuple[int, dict[int, float]]:
        """The tokens of the longest match, and how likely each candidate is: they sum to 1."""
        if not self.text:
            return 0, {}
        text, end, longest = self.text, len(self.text) - 1, 0
        weights: dict[int, float] = collections.defaultdict(float)
        for place in self.places[text[end]][:-1]:
            matched, most = 1, min(MOST_MATCH, place + 1)
            while matched < most and text[place - matched] == text[end - matched]:
                matched += 1
            longest = max(longest, matched)
            weights[text[place + 1]] += GROWTH**matched
        kept = heapq.nlargest(MOST_MIXED, weights.items(), key=lambda item: (item[1], -item[0]))
        total = sum(weight for _, weight in kept)
        return longest, {token: weight / total for token, weight in kept}


def votes_of(tokens: list[int], specials: int, end: int) -> list[tuple[int, dict[int, float]]]:
    """votes() behind each token. Tokens below `specials` mark parts and are no text, and `end`
    begins another."""
    model, votes = CopyModel(), []
    for token in tokens:
        if token == end:
            model = CopyModel()
        elif token >= specials:
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
def fitted(folder: pathlib.Path, data: pathlib.Path, rows: int) -> list[float]:
    model = read(folder)
    shard = dict(np.load(data))
    order = np.random.default_rng(0).permutation(len(shard["tokens"]))  # as in train.Data
    features = torch.from_numpy(shard["features"].astype(np.float32))
    own, copied, matched = [], [], []
    for row in order[-rows:]:
        tokens = torch.from_numpy(shard["tokens"][row : row + 1].astype(np.int64))
        set_of = torch.from_numpy(shard["set_of"][row : row + 1].astype(np.int64))
        log_p = model(tokens[:, :-1], features, set_of[:, :-1])[0].log_softmax(-1)
        targets = tokens[0, 1:]
        own.append(log_p.gather(-1, targets[:, None])[:, 0].exp().numpy())
        votes = votes_of(tokens[0, :-1].tolist(), len(SPECIALS), END)
        pairs = zip(votes, targets.tolist(), strict=True)
        copied.append([candidates.get(target, 0.0) for (_, candidates), target in pairs])
        matched.append([n for n, _ in votes])
    return fit(*(np.concatenate(each) for each in (own, copied, matched)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a model folder")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the training shard")
    parser.add_argument("--rows", type=int, default=100)
    chosen = parser.parse_args()
    path = chosen.model / "config.json"
    shares = fitted(chosen.model, chosen.data, chosen.rows)
    config = json.loads(path.read_text()) | {"copy_shares": shares}
    path.write_text(json.dumps(config, indent=2) + "\n")
    print(shares)
