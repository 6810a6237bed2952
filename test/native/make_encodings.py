#!/usr/bin/env python3
"""Tokens by Hugging Face `tokenizers`, for comparing.

make_encodings.py                  writes tiny/tokenizer.json, encodings.json, and of each family
                                   in tokenizer_families.py a small tokenizer (where its file is
                                   missing) and its goldens
make_encodings.py compare [N [FAMILY...]]
                                   encodes N random texts (100,000) and these sources, by every
                                   family, with the engine and with `tokenizers`
make_encodings.py regex [N]        splits texts by N random patterns (2,000) likewise
make_encodings.py bundled FOLDER   compares on the tokenizer.json of a model

The last three end with 1 where the two differ. They run build/native-tests/tokenizer_cli
(cmake -S test/native -B build/native-tests && cmake --build build/native-tests).
Needs tokenizers.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import tokenizers
from random_texts import random_text
from tokenizer_families import FAMILIES, RINGSIDE, Family, train
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

ROOT = Path(__file__).parents[2]
OUT = ROOT / "test" / "fixtures" / "native"
CLI = ROOT / "build" / "native-tests" / "tokenizer_cli"
GOLDEN_TEXTS = 5000
GOLDEN_BLOCK = 50  # texts behind one hash

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
    split = pre_tokenizers.Split(tokenizers.Regex(RINGSIDE), "isolated")
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


def sources() -> list[str]:
    layers = ("native", "kernels", "server", "extension", "test/native", "training", "docs")
    listed = subprocess.run(["git", "ls-files", "-z", *layers], cwd=ROOT, stdout=subprocess.PIPE)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    kinds = {".cpp", ".h", ".cu", ".inc", ".ts", ".mjs", ".py", ".md"}
    return [path.read_text(encoding="utf8") for path in paths if path.suffix in kinds]


def run_cli(kind: str, argument: str, texts: list[str]) -> list[list[int]] | None:
    """What tokenizer_cli says of each text, or None where it refuses `argument`."""
    encoded = [text.encode() for text in texts]
    done = subprocess.run(
        [CLI, *kind.split(), argument],
        input=b"".join(struct.pack("<I", len(text)) + text for text in encoded),
        capture_output=True,
    )
    if done.returncode == 2:
        return None
    assert done.returncode == 0, done.stderr
    values = memoryview(done.stdout).cast("i").tolist()
    out, at = [], 0
    while at < len(values):
        out.append(values[at + 1 : at + 1 + values[at]])
        at += 1 + values[at]
    assert len(out) == len(texts)
    return out


def differences(name: str, texts: list[str], ours: list[list[int]], theirs: list[list[int]]) -> int:
    wrong = [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b]
    for text in sorted(wrong, key=len)[:3]:
        print(f"  differs: {text[:60]!r}")
    print(f"{name}: {len(texts)} texts, {sum(map(len, texts))} characters, {len(wrong)} differ")
    return len(wrong)


def without_added(document: dict) -> tokenizers.Tokenizer:
    """Without the tokens that no text makes: of those that were added, the letters stay."""
    added = document["added_tokens"]
    letters = [token for token in added if not token["special"] and len(token["content"]) == 1]
    return tokenizers.Tokenizer.from_str(json.dumps({**document, "added_tokens": letters}))


def ids(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


def normalized(texts: list[str]) -> list[str]:
    """In NFC by the library's tables. They are of an older Unicode than everybody else's."""
    nfc = normalizers.NFC()
    given = [nfc.normalize_str(text) for text in texts]
    newer = [unicodedata.normalize("NFC", text) for text in texts]
    differ = sum(a != b for a, b in zip(given, newer, strict=True))
    print(f"NFC: {differ} of {len(texts)} texts differ from Unicode {unicodedata.unidata_version}")
    return given


def compare(count: int, only: list[str]) -> int:
    """The number of texts whose tokens differ, over all families and both sources."""
    texts = [random_text(seed) for seed in range(count)] + TEXTS + sources()
    wrong = 0
    for family in FAMILIES:
        if only and family.name not in only:
            continue
        document = load(family)
        given = normalized(texts) if family.nfc else texts
        theirs = ids(without_added(document), texts)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "tokenizer.json")
            Path(path).write_text(json.dumps(document))
            if family.from_json:
                ours = run_cli("json", path, given)
                wrong += differences(f"{family.name}, tokenizer.json", texts, ours, theirs)
            for pre in family.gguf:
                ours = run_cli(f"gguf {pre}", path, given)
                wrong += differences(f"{family.name}, GGUF {pre}", texts, ours, theirs)
    return wrong


def compare_bundled(folder: Path) -> int:
    path = folder / "tokenizer.json"
    texts = [random_text(seed) for seed in range(5000)] + TEXTS + sources()
    theirs = ids(without_added(json.loads(path.read_text())), texts)
    return differences(str(folder), texts, run_cli("json", str(path), texts), theirs)


def random_pattern(rng: random.Random, depth: int = 0) -> str:
    atoms = ["a", "b", "1", " ", r"\s", r"\S", r"\d", r"\w", r"\W", r"\n", r"\p{L}", r"\p{N}", "."]
    atoms += [r"\P{Lu}", r"[^\s\p{L}]", "[a-c1]", "[^a]", r"[\r\n]", "\u00e9", r"\p{M}"]
    atoms += ["(?i:k)", "$"]
    looks = ["(?=", "(?!"]
    parts = []
    for _ in range(rng.randrange(1, 4)):
        kind = rng.random()
        if kind < 0.2 and depth < 3:
            atom = rng.choice(["(?:", "("]) + random_pattern(rng, depth + 1) + ")"
        elif kind < 0.3 and depth < 3:
            parts.append(rng.choice(looks) + random_pattern(rng, depth + 1) + ")")
            continue
        else:
            atom = rng.choice(atoms)
        repeats = ["", "", "", "?", "*", "+", "{2}", "{1,3}", "{2,}", "{,2}", "??", "*?", "+?"]
        repeats += ["?+", "*+", "++"]
        parts.append(atom + rng.choice(repeats))
    return "".join(parts) + ("|" + random_pattern(rng, depth) if rng.random() < 0.3 else "")


def library_cuts(pattern: str, text: str) -> set[int]:
    """Where the library cuts `text`, in bytes."""
    step = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    cuts, at = {0}, 0
    for piece, _ in step.pre_tokenize_str(text):
        at += len(piece.encode())
        cuts.add(at)
    return cuts


def compare_patterns(count: int) -> int:
    """The number of patterns that cut some text elsewhere than the library does."""
    rng = random.Random(2)
    letters = "aabbkK\u212a1 2 \n\r\t\u00e9\u0301\u65e5Ab.,_\u00a0\U0001f642"
    texts = ["".join(rng.choices(letters, k=rng.randrange(1, 30))) for _ in range(60)]
    wrong = refused = given_up = 0
    for _ in range(count):
        pattern = random_pattern(rng)
        ours = run_cli("regex", pattern, texts)
        if ours is None:
            refused += 1
            continue
        try:
            theirs = [library_cuts(pattern, text) for text in texts]
        except BaseException as error:  # a panic is no Exception
            assert "retry-limit-in-match" in str(error), error
            given_up += 1
            continue
        for text, matches, expected in zip(texts, ours, theirs, strict=True):
            cuts = {0, len(text.encode())} | set(matches)
            if cuts != expected:
                wrong += 1
                print(f"  differs: {pattern!r} on {text!r}: {sorted(cuts)}, {sorted(expected)}")
                break
    print(f"{count} patterns: {refused} refused, {given_up} too slow for the library")
    print(f"{count - refused - given_up} compared, {wrong} differ")
    return wrong


def fixture(family: Family) -> Path:
    return OUT / "tokenizers" / f"{family.name}.json"


def load(family: Family) -> dict:
    if family.is_fixture:
        return json.loads(fixture(family).read_text())
    return train(family, [SAMPLE * 2, *sources()])


def hash_tokens(value: int, tokens: list[int]) -> int:
    """FNV-1a over the ids, -1 after each text."""
    for token in [*tokens, -1]:
        value = (value ^ (token & 0xFFFFFFFF)) * 0x100000001B3 & (1 << 64) - 1
    return value


def goldens(document: dict) -> list[str]:
    """One hash for each block of texts. Without the normalizer of NFC, which is the caller's."""
    document = dict(document)
    if (document["normalizer"] or {}).get("type") == "NFC":
        document["normalizer"] = None
    theirs = ids(without_added(document), [random_text(seed) for seed in range(GOLDEN_TEXTS)])
    out = []
    for start in range(0, GOLDEN_TEXTS, GOLDEN_BLOCK):
        value = 0xCBF29CE484222325
        for tokens in theirs[start : start + GOLDEN_BLOCK]:
            value = hash_tokens(value, tokens)
        out.append(f"{value:016x}")
    return out


def write() -> None:
    tokenizer = make_tokenizer()
    (OUT / "tiny").mkdir(parents=True, exist_ok=True)
    (OUT / "tiny" / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    encodings = [dict(text=text, tokens=text_tokens(tokenizer, text)) for text in TEXTS]
    (OUT / "encodings.json").write_text(json.dumps(encodings, separators=(",", ":")) + "\n")
    (OUT / "tokenizers").mkdir(exist_ok=True)
    rows = {}
    for family in FAMILIES:
        if not family.is_fixture:
            continue
        if not fixture(family).exists():  # these sources change, so training again would too
            document = train(family, [SAMPLE * 2, *sources()])
            text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
            fixture(family).write_text(text + "\n")
        document = load(family)
        rows[family.name] = {"gguf": family.gguf, "hashes": goldens(document)}
    (OUT / "tokenizers" / "goldens.json").write_text(json.dumps(rows, indent=0) + "\n")


def main(command: str = "write", argument: str | None = None, *more: str) -> int:
    if command == "compare":
        return compare(int(argument or 100_000), list(more)) != 0
    if command == "regex":
        return compare_patterns(int(argument or 2000)) != 0
    if command == "bundled":
        return compare_bundled(Path(argument or OUT / "tiny")) != 0
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
