"""Texts that are hard to tokenize, the same here and in random_text.h: a text is its seed's."""

from __future__ import annotations

MASK = (1 << 64) - 1

# Code points: the first, and how many. All planes, marks, right to left, joiners, odd spaces.
RANGES = [
    (0x20, 95), (0x61, 26), (0x41, 26), (0x30, 10), (0x09, 5), (0x00, 128), (0x80, 128),
    (0x100, 0x250), (0x300, 0x70), (0x370, 0x190), (0x590, 0x170), (0x900, 0x500), (0xE00, 0x200),
    (0x1100, 0x100), (0x1E00, 0x200), (0x2000, 0x70), (0x2070, 0x100), (0x2150, 0x50),
    (0x2190, 0x300), (0x2581, 1), (0x3000, 0x200), (0x4E00, 0x5200), (0xA000, 0x3000),
    (0xE000, 0x100), (0xF900, 0x600), (0xFF00, 0x100), (0x10000, 0x2000), (0x16F00, 0x200),
    (0x1D400, 0x400), (0x1F100, 0x800), (0x20000, 0x200), (0xE0000, 0x100), (0x10FF00, 0x100),
]  # fmt: skip

FRAGMENTS = [
    " ", "  ", "   ", "        ", "\n", "\r\n", "\n\n", "\t", "\t\t", " \n ", "'s", "'LL", "'Re",
    "'\u017f", "'", "don't", "return", " return", "value", " value", "items", "def check(",
    "self.items", "):\n    ", "();\r\n", " => {", "!==", "//", "/*", "*/", "_", "__", "12",
    "1234567", "3.14", "0x1F", "camelCase", "HTTPServer", "caf\u00e9", "cafe\u0301", "na\u00efve",
    "\u65e5\u672c\u8a9e", "\uac00\ub098", "\u05e9\u05dc\u05d5\u05dd",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f642",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\u00b2\u00bd\u216b",
    "\ufffd", "\u2581", "\u2581value", "<|endoftext|>", "<|fim_prefix|>", "<unk>", "<s>", "<0x0A>",
    "\u00a0", "\u2028", "\u200b", "\u0e33", "\u1100\u1161",
]  # fmt: skip


class Random:
    """splitmix64."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, limit: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return (z ^ z >> 31) % limit


def random_text(seed: int) -> str:
    random = Random(seed)
    text = ""
    favourite = random.below(len(RANGES))
    for _ in range(random.below(40)):
        kind = random.below(8)
        if kind < 4:
            text += FRAGMENTS[random.below(len(FRAGMENTS))]
            continue
        first, count = RANGES[random.below(len(RANGES)) if kind < 6 else favourite]
        text += "".join(chr(first + random.below(count)) for _ in range(1 + random.below(4)))
    return text
