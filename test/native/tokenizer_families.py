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
RINGSIDE = (
    " ?[A-Za-z_\u0080-\U0010ffff]+|[0-9]|[\\r\\n]+[ \\t]*"
    "| ?[!-/:-@\\[-^`{-~]+|[ \\t\\f\\v]+|[\\x00-\\x08\\x0e-\\x1f\\x7f]"
)
DEEPSEEK_SCRIPTS = "[一-龥ࠀ-一가-\ud7ff]+"
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_CASED = (
    r"\s?[A-Za-z"
    r"\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    r"\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    r"\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    r"\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    r"\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57"
    r"\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"
    r"\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    r"\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d"
    r"\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"
    r"\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    r"\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
    r"\uff41-\uff5a\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}"
    r"\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}"
    r"]+"
)
DEEPSEEK_MARKS = r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
DIGITS = pre_tokenizers.Digits(individual_digits=True)
SPECIAL = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
SPACE = "\u2581"
WORDS = (
    "The quick brown fox doesn't jump; it's we'll they've I'm you'd they're DON'T 1234 3.14 "
    "HTTPServer "
    "naïve café über Ελληνικά привет мир שלום עולם مرحبا नमस्ते สวัสดี 日本語 日本 中文 "
    "한국어 가나다 🙂🙂 👍🏽 "
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
    letters: str = ""  # added tokens that are one character of text


FAMILIES = [
    Family("qwen2", [QWEN2], ["qwen2"], nfc=True, is_fixture=True),
    Family("llama3", [LLAMA3], ["llama-bpe"], ignore_merges=True, is_fixture=True),
    Family("starcoder2", [DIGITS, GPT2], ["starcoder", "refact", "smollm"], is_fixture=True),
    Family(
        "deepseek-coder",
        [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_SCRIPTS, DIGITS],
        ["deepseek-coder"],
        is_fixture=True,
        letters="õ÷ÁýÀÿøúþüùöû",
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
        "qwen35",
        [
            rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ],
        ["qwen35"],
        nfc=True,
    ),
    Family(
        "seed-coder",
        [
            rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1}}"
            r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
        ],
        ["seed-coder"],
    ),
    Family(
        "deepseek-llm",
        [r"[\r\n]", DEEPSEEK_CASED, DEEPSEEK_MARKS, r"\s+$", DEEPSEEK_SCRIPTS, r"\p{N}+"],
        ["deepseek-llm"],
    ),
    Family("gpt-4", [LLAMA3], ["dbrx", "smaug-bpe"]),
    Family("ringside", [RINGSIDE], ["ringside"]),
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
    add_letters(document, family.letters)
    return document


def add_letters(document: dict, letters: str) -> None:
    """Takes `letters` out of the vocabulary, where they stand for bytes that no text has, and adds
    them as tokens behind it."""
    model = document["model"]
    by_id = sorted(model["vocab"], key=model["vocab"].get)
    kept = [piece for piece in by_id if piece not in letters]
    model["vocab"] = {piece: id for id, piece in enumerate(kept)}
    for token in document["added_tokens"]:
        token["id"] = model["vocab"][token["content"]]
    document["added_tokens"] += [
        {
            "id": len(kept) + i,
            "content": letter,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": True,
            "special": False,
        }
        for i, letter in enumerate(letters)
    ]


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
