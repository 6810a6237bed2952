#!/usr/bin/env python3
"""Writes native/unicode_tables.inc: what Hugging Face `tokenizers` takes each code point for.

The tables come from the library itself, which is asked about every code point, and not from a copy
of the Unicode data: the engine must agree with the library, whatever version of Unicode each of its
parts was built with. (Its \\p{N} and its Digits step differ in 13 code points.)

Needs tokenizers 0.23.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

OUT = Path(__file__).parents[2] / "native" / "unicode_tables.inc"
CATEGORIES = (
    "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co"
)
LIMIT = 0x110000
CHUNK = 4096
POINTS = [c for c in range(LIMIT) if not 0xD800 <= c < 0xE000]  # a surrogate is no character


def dropped(step: pre_tokenizers.PreTokenizer) -> set[int]:
    """The code points that a step which removes what it finds removes."""
    out = set()
    for start in range(0, len(POINTS), CHUNK):
        points = POINTS[start : start + CHUNK]
        kept = "".join(piece for piece, _ in step.pre_tokenize_str("".join(map(chr, points))))
        out |= set(points) - set(map(ord, kept))
    return out


def matched(pattern: str) -> set[int]:
    return dropped(pre_tokenizers.Split(Regex(pattern), "removed"))


def digits() -> set[int]:
    """Those that the Digits step isolates: between two letters each makes three pieces."""
    step = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in POINTS if len(step.pre_tokenize_str("a" + chr(c) + "a")) == 3}


def ranges(points: Iterable[int]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1] = (out[-1][0], c)
        else:
            out.append((c, c))
    return out


def rows(items: Iterable[str]) -> str:
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            lines.append(line)
            line = " "
        line += " " + item + ","
    return "\n".join([*lines, line])


def main() -> None:
    names = CATEGORIES.split()
    members = {name: matched(rf"\p{{{name}}}") for name in names}
    assert sum(map(len, members.values())) == len(POINTS), "the categories overlap or leave gaps"
    for group in "LMNPSZ":
        parts = set().union(*(members[name] for name in names if name[0] == group))
        assert parts == matched(rf"\p{{{group}}}"), group
    category = {c: i for i, name in enumerate(names) for c in members[name]}

    starts, last = [], None
    for c in range(LIMIT):
        now = category.get(c, 0)
        if now != last:
            starts.append(f"0x{c << 5 | now:X}")
        last = now

    text = "// Written by test/native/make_unicode.py from Hugging Face tokenizers. Do not edit.\n"
    text += "// clang-format off\n"
    text += "\n"
    text += "constexpr std::string_view kCategoryNames[] = {\n"
    text += rows(f'"{name}"' for name in names) + "\n};\n\n"
    text += "// Where a run of one category starts: the code point << 5 | the category's index.\n"
    text += f"constexpr uint32_t kCategoryStarts[] = {{\n{rows(starts)}\n}};\n"
    derived = {"Space": matched(r"\s"), "Word": matched(r"\w"), "Digit": digits()}
    assert matched(r"\d") == members["Nd"]
    for name, points in derived.items():
        whole = [n for n in names if members[n] <= points]
        rest = points - set().union(*(members[n] for n in whole))
        pairs = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(rest)]
        text += f"\n// {name}: these categories, and these ranges besides.\n"
        text += f"constexpr std::string_view k{name}Categories[] = {{\n"
        text += rows(f'"{n}"' for n in whole) + "\n};\n"
        text += f"constexpr CodePointSet::Range k{name}Ranges[] = {{\n{rows(pairs)}\n}};\n"
    folds = []
    for letter in map(chr, range(ord("a"), ord("z") + 1)):
        more = matched(f"(?i:{letter})") - {ord(letter), ord(letter.upper())}
        folds += [f"{{'{letter}', 0x{c:X}}}" for c in sorted(more)]
    text += "\n// Characters beyond ASCII that (?i:) takes for an ASCII letter.\n"
    text += f"constexpr std::pair<char, char32_t> kFolds[] = {{\n{rows(folds)}\n}};\n"
    OUT.write_text(text)
    print(f"{OUT.name}: {len(starts)} runs, {len(text)} bytes")


if __name__ == "__main__":
    main()
