"""A small tokenizer of each family, trained here: the steps are the family's, the vocabulary not.

The patterns are facts of the published tokenizer.json files, as ggml-org/llama.cpp lists them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = [rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"]
PATH_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = f"{CONTRACTIONS}|{WORD}|\\p{{N}}|{REST}"
LLAMA3 = f"{CONTRACTIONS}|{WORD}|\\p{{N}}{{1,3}}|{REST}"
BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
DEEPSEEK_SCRIPTS = "[一-龥ࠀ-一가-\ud7ff]+"
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGITS = pre_tokenizers.Digits(individual_digits=True)
SPECIAL = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
SPACE = "\u2581"
WORDS = (
    "The quick brown fox doesn't jump; it's we'll they've I'm you'd they're DON'T 1234 3.14 "
    "HTTPServer "
    "naïve café über Ελληνικά привет мир שלום עולם مرحبا नमस्ते สวัสดี 日本語 日本 中文 한국어 가나다 🙂🙂 👍🏽 "
    "\u00a0\u3000x\ty\r\n\r\n  \n\n\n        if (x) {\n            return;\n        }\n"
)


@dataclass
class Family:
    name: str
    steps: list[object]  # patterns, or steps of the library's
    gguf: list[str] = field(default_factory=list)  # names in GGUF that mean these steps
    nfc: bool = False
    ignore_merges: bool = False
    is_fixture: bool = False
    from_json: bool = True
    spaces: str = ""  # of SentencePiece's style: how it gets its U+2581


FAMILIES = [
    Family("qwen2", [QWEN2], ["qwen2"], nfc=True, is_fixture=True),
    Family("llama3", [LLAMA3], ["llama-bpe"], ignore_merges=True, is_fixture=True),
    Family("starcoder2", [DIGITS, GPT2], ["starcoder", "refact", "smollm"], is_fixture=True),
    Family(
        "deepseek-coder",
        [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_SCRIPTS, DIGITS],
        ["deepseek-coder"],
        is_fixture=True,
    ),
    Family("bailing", [BAILING], ["bailingmoe", "bailingmoe2"], is_fixture=True),
    Family("gpt2", [], ["gpt-2"], is_fixture=True),
    Family("codellama", [], ["llama"], spaces="normalizer", is_fixture=True),
    Family("codestral", [], spaces="first", is_fixture=True),
    Family("metaspace-split", [], spaces="split"),
    Family("tekken", ["|".join([*CASED, r"\p{N}", PATH_REST])], ["tekken"], ignore_merges=True),
    Family(
        "gpt-4o",
        ["|".join([*(part + CONTRACTIONS + "?" for part in CASED), r"\p{N}{1,3}", PATH_REST])],
        ["gpt-4o"],
    ),
    Family("deepseek-v3", [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK_V3], ["deepseek-v3"]),
    Family(
        "default",
        [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        ["default"],
    ),
    Family("falcon", [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], ["falcon"]),
]


def pre_tokenizer(family: Family) -> pre_tokenizers.PreTokenizer | None:
    if family.spaces == "normalizer":
        return None
    if family.spaces:
        split = family.spaces == "split"
        return pre_tokenizers.Metaspace(SPACE, "always" if split else "first", split)
    if not family.steps:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    steps = [
        pre_tokenizers.Split(Regex(step), "isolated") if isinstance(step, str) else step
        for step in family.steps
    ]
    if family.steps[-1] == GPT2:
        steps[-1] = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(steps)


def train(family: Family, texts: list[str]) -> dict:
    """The family's tokenizer.json."""
    texts = [WORDS * 3, *texts]
    if family.spaces:
        return train_spaced(family, texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(family)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if family.nfc:
        tokenizer.normalizer = normalizers.NFC()
    document = json.loads(tokenizer.to_str())
    if family.ignore_merges:  # and some pieces that no merge makes
        vocabulary = document["model"]["vocab"]
        for piece in ["Ġreturned", "日", "Ġ12", "camel", "éé"]:
            vocabulary.setdefault(piece, len(vocabulary))
        document["model"]["ignore_merges"] = True
    return document


def train_spaced(family: Family, texts: list[str]) -> dict:
    """SentencePiece's style: a merge for every way to cut a piece in two, the earliest piece first,
    as converters of SentencePiece models write them."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    split = family.spaces != "first"  # so that one family has pieces with spaces within
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, "always", split)
    data = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=["<unk>", "<s>", "</s>", *data],
        limit_alphabet=150,
        show_progress=False,
    )
    lines = [line for text in texts for line in text.split("\n")]
    tokenizer.train_from_iterator(lines, trainer)
    if family.spaces == "normalizer":
        steps = [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
        tokenizer.normalizer = normalizers.Sequence(steps)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    step = pre_tokenizer(family)
    document["pre_tokenizer"] = json.loads(step.__getstate__()) if step else None
    vocabulary = document["model"]["vocab"]
    merges = []
    for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1]):
        cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        merges += [[a, b] for a, b in cuts if a in vocabulary and b in vocabulary]
    document["model"]["merges"] = merges
    return document
