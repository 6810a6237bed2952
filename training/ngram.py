"""The baseline: an order-5 model of bytes, interpolated by Witten and Bell's rule (1991, method C).

    p_k(c | the last k bytes) = (n(context c) + t(context) p_{k-1}(c)) / (n(context) + t(context))

n counts occurrences in the training text, t the distinct bytes seen behind the context; p_{-1} =
1/256. A proper probability for every byte, so its code length is one that a compressor could
reach. Only the contexts that the held-out text asks for are counted, which changes no number and
saves the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

ORDER = 5  # bytes of context
BLOCK = 8 << 20  # bytes of training text that are counted at once
FILTER_BITS = 26  # of the table that tells contexts nobody asks for


def grams(text: np.ndarray, order: int) -> np.ndarray:
    """text uint8 [n + ORDER], ORDER bytes of padding first -> uint64 [n]: `order` bytes and the
    next."""
    length = len(text) - ORDER
    keys = np.zeros(length, dtype=np.uint64)
    for back in range(order, -1, -1):
        keys = (keys << np.uint64(8)) | text[ORDER - back : ORDER - back + length]
    return keys


def padded(texts: Iterable[bytes]) -> np.ndarray:
    """Every text behind ORDER zero bytes, so that none is a context of the next. Code holds no
    zero."""
    joined = b"".join(b"\0" * ORDER + text for text in texts)
    return np.frombuffer(joined, dtype=np.uint8)


def blocks(texts: Iterable[bytes]) -> Iterator[np.ndarray]:
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size > BLOCK:
            yield padded(waiting)
            waiting, size = [], 0
    if waiting:
        yield padded(waiting)


def slots(contexts: np.ndarray) -> np.ndarray:
    return (contexts * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - FILTER_BITS)


class Counts:
    """Of one order: how often each gram with an asked context occurs in the training text."""

    def __init__(self, asked: np.ndarray, order: int) -> None:
        self.order = order
        self.wanted = np.zeros(1 << FILTER_BITS, dtype=bool)
        self.wanted[slots(asked >> np.uint64(8))] = True
        self.keys = np.zeros(0, dtype=np.uint64)
        self.numbers = np.zeros(0, dtype=np.int64)

    def add(self, block: np.ndarray) -> None:
        keys = grams(block, self.order)
        kept = self.wanted[slots(keys >> np.uint64(8))] & (keys & np.uint64(255) != 0)  # no padding
        keys, numbers = np.unique(keys[kept], return_counts=True)
        both = np.concatenate((self.keys, keys))
        self.keys, where = np.unique(both, return_inverse=True)
        weights = np.concatenate((self.numbers, numbers))
        self.numbers = np.bincount(where, weights, minlength=len(self.keys)).astype(np.int64)

    def of(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n(context c), n(context), t(context) of each gram asked for."""
        contexts, first = np.unique(self.keys >> np.uint64(8), return_index=True)
        totals = np.add.reduceat(self.numbers, first) if len(first) else first
        kinds = np.diff(np.append(first, len(self.keys)))
        gram, context = lookup(self.keys, asked), lookup(contexts, asked >> np.uint64(8))
        number = np.where(gram >= 0, self.numbers[gram], 0)
        seen = context >= 0
        return number, np.where(seen, totals[context], 0), np.where(seen, kinds[context], 0)


def lookup(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The index of each key in the ascending table, -1 where it isn't there."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[at] == keys, at, -1)


def bits(training: Iterable[bytes], heldout: list[bytes]) -> list[float]:
    """The code length in bits of each held-out text under the model of the training texts."""
    texts = [padded([text]) for text in heldout]
    asked = [np.concatenate([grams(text, k) for text in texts]) for k in range(ORDER + 1)]
    counts = [Counts(asked[k], k) for k in range(ORDER + 1)]
    for block in blocks(training):
        for one in counts:
            one.add(block)
    probability = np.full(len(asked[0]), 1 / 256)
    for k in range(ORDER + 1):
        number, total, kinds = counts[k].of(asked[k])
        total_and_kinds = np.maximum(total + kinds, 1)
        mixed = (number + kinds * probability) / total_and_kinds
        probability = np.where(total > 0, mixed, probability)
    ends = np.cumsum([len(text) - ORDER for text in texts])
    return [float(part.sum()) for part in np.split(-np.log2(probability), ends[:-1])]
