"""The byte model against a direct reading of its formula."""

import collections
import math
import random
import unittest

import support  # noqa: F401

# isort: split
from ngram import ORDER, bits


def direct(training: list[bytes], text: bytes) -> float:
    followers: dict[tuple[int, bytes], collections.Counter] = collections.defaultdict(
        collections.Counter
    )
    for one in training:
        one = b"\0" * ORDER + one
        for i in range(ORDER, len(one)):
            for k in range(ORDER + 1):
                followers[k, one[i - k : i]][one[i]] += 1
    text, total = b"\0" * ORDER + text, 0.0
    for i in range(ORDER, len(text)):
        p = 1 / 256
        for k in range(ORDER + 1):
            seen = followers.get((k, text[i - k : i]))
            if seen:
                p = (seen[text[i]] + len(seen) * p) / (seen.total() + len(seen))
        total -= math.log2(p)
    return total


class Ngram(unittest.TestCase):
    def test_agrees_with_the_formula(self):
        draw = random.Random(0)
        training = [bytes(draw.choices(b"abc", [5, 3, 1], k=300)) for _ in range(5)]
        heldout = [bytes(draw.choices(b"abcd", [5, 3, 1, 0.2], k=100)) for _ in range(3)]
        for text, found in zip(heldout, bits(training, heldout), strict=True):
            self.assertAlmostEqual(found, direct(training, text), places=6)

    def test_probabilities_sum_to_one(self):
        training = [b"def f(x):\n    return x\n", b"def g(y):\n    return y + 1\n"]
        for context in (b"", b"def ", b"zzzzz", b"    return "):
            texts = [context + bytes([c]) for c in range(1, 256)]
            base = bits(training, [context])[0] if context else 0.0
            mass = sum(2 ** (base - found) for found in bits(training, texts))
            self.assertLess(abs(mass - 1), 0.02)  # the zero byte, left out, has the rest
            self.assertLessEqual(mass, 1 + 1e-9)


if __name__ == "__main__":
    unittest.main()
