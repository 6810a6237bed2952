#!/usr/bin/env python3
"""Writes GGUF files with random weights, small ones of each family and type for comparing what two
engines compute, and with --speed two of the shape of Qwen2.5-Coder-1.5B for comparing how fast.

Quantized types are random valid blocks, so that both engines read the very same numbers. Weights
are scaled so that activations keep their size and the logits spread as a trained model's do. Beside
each small file, exact/NAME.gguf has the same numbers in F32: what an engine that rounds nothing
computes.

Needs numpy and gguf. Run: python test/peers/llama/make_models.py FOLDER [--speed]
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, dequantize

RANDOM = np.random.default_rng(1)
TYPES = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
LOGIT_SPREAD = 3.0  # standard deviation

# Bytes of a block, and its float16 fields: byte offset -> value in units of the first.
BLOCKS = {
    "Q8_0": (32, 34, {0: 1}),
    "Q4_0": (32, 18, {0: 1}),
    "Q4_1": (32, 20, {0: 1, 2: -7.5}),
    "Q5_0": (32, 22, {0: 1}),
    "Q5_1": (32, 24, {0: 1, 2: -15.5}),
    "Q4_K": (256, 144, {0: 1, 2: 7.5}),
    "Q5_K": (256, 176, {0: 1, 2: 15.5}),
    "Q6_K": (256, 210, {208: 1}),
}


def random_blocks(kind: str, count: int, unit: float) -> np.ndarray:
    _, size, fields = BLOCKS[kind]
    raw = np.frombuffer(RANDOM.bytes(count * size), "u1").copy().reshape(count, size)
    spread = unit * (0.8 + 0.4 * RANDOM.random(count))
    for at, value in fields.items():
        raw[:, at : at + 2] = (spread * value).astype("<f2").view("u1").reshape(count, 2)
    return raw


def deviation(kind: str) -> float:
    """Of the weights of random blocks whose unit is 2^-8."""
    raw = random_blocks(kind, 2048, 2.0**-8)
    return float(np.std(dequantize(raw, GGMLQuantizationType[kind]))) * 2.0**8


def matrix(kind: str, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    """Rows with a standard deviation of scale / sqrt(columns), as the bytes that GGUF stores."""
    target, cols = scale / np.sqrt(shape[-1]), shape[-1]
    if kind in BLOCKS:
        width, size, _ = BLOCKS[kind]
        blocks = random_blocks(kind, int(np.prod(shape)) // width, target / deviation(kind))
        return blocks.reshape(*shape[:-1], cols // width * size)
    floats = RANDOM.standard_normal(shape, "f4") * np.float32(target)
    if kind == "BF16":
        return (floats.view("<u4") >> 16).astype("<u2").view("u1")
    return floats.astype("<f2" if kind == "F16" else "<f4")


# ---- a tokenizer that both accept: bytes, and merges of letters ----


def byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = itertools.count(256)
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def vocabulary(size: int) -> tuple[list[str], list[int], list[str]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [(a, b) for a in letters for b in letters]
    merges = [*pairs, *((a + b, c) for (a, b), c in itertools.product(pairs, letters))]
    merges = merges[: size - 256 - len(SPECIAL)]
    tokens = byte_characters() + [a + b for a, b in merges]
    types = [TokenType.NORMAL] * len(tokens)
    unused = size - len(tokens) - len(SPECIAL)
    tokens += SPECIAL + [f"<|unused_{i}|>" for i in range(unused)]
    types += [TokenType.CONTROL] * len(SPECIAL) + [TokenType.UNUSED] * unused
    return tokens, types, [f"{a} {b}" for a, b in merges]


def add_tokenizer(writer: GGUFWriter, size: int, pre: str) -> None:
    tokens, types, merges = vocabulary(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    end = tokens.index(SPECIAL[0])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end + 2)
    writer.add_add_bos_token(False)


# ---- models ----


@dataclass
class Shape:
    family: str
    vocab: int = 2048
    hidden: int = 512
    layers: int = 4
    heads: int = 8
    kv: int = 2
    head_dim: int = 64
    ffn: int = 1024
    context: int = 2048
    theta: float = 10000.0
    qkv_bias: bool = False
    qk_norm: bool = False
    fused: bool = False
    layer_norm: bool = False
    tied: bool = False
    experts: int = 0
    expert_ffn: int = 256
    top_k: int = 4
    dense_layers: int = 0
    more: dict = field(default_factory=dict)
    pre: str = "qwen2"


SHAPES = [
    Shape("qwen2", qkv_bias=True),
    Shape("llama"),
    Shape("qwen3", qk_norm=True),
    Shape("starcoder2", layer_norm=True, qkv_bias=True, pre="starcoder"),
    Shape("qwen3moe", qk_norm=True, experts=16),
    Shape(
        "bailingmoe2",
        qk_norm=True,
        fused=True,
        experts=32,
        dense_layers=1,
        theta=600000.0,
        pre="bailingmoe2",
        more=dict(
            shared=1, groups=8, groups_used=4, weights_scale=2.5, weights_norm=True, gating=2
        ),
    ),
]
TYPES_OF = {
    "qwen2": TYPES,
    "bailingmoe2": ["F32", "Q8_0", "Q4_K", "Q6_K"],
}
SPEED = Shape(
    "qwen2", vocab=151936, hidden=1536, layers=28, heads=12, kv=2, head_dim=128, ffn=8960,
    theta=1e6, qkv_bias=True, tied=True,
)  # fmt: skip


class Writer:
    def __init__(self, folder: Path, name: str, shape: Shape, kind: str, embedding: str) -> None:
        self.gguf = GGUFWriter(folder / name, shape.family, use_temp_file=shape is SPEED)
        self.files = [self.gguf]
        if shape is not SPEED and kind != "F32":
            (folder / "exact").mkdir(exist_ok=True)
            self.files.append(GGUFWriter(folder / "exact" / name, shape.family))
        self.shape, self.kind, self.embedding = shape, kind, embedding

    def matrix(self, name: str, shape: tuple[int, ...], scale=1.0, kind: str = "") -> None:
        kind = kind or self.kind
        data = matrix(kind, shape, scale)
        raw = None if kind in ("F32", "F16") else GGMLQuantizationType[kind]
        self.gguf.add_tensor(name + ".weight", data, raw_dtype=raw)
        for exact in self.files[1:]:
            floats = dequantize(data, raw) if raw else data.astype("<f4")
            exact.add_tensor(name + ".weight", floats)

    def vector(self, name: str, size: int, base: float, spread: float = 0.1) -> None:
        values = base + spread * RANDOM.standard_normal(size)
        for file in self.files:
            file.add_tensor(name, values.astype("<f4"))

    def norm(self, name: str, size: int) -> None:
        self.vector(name + ".weight", size, 1.0)
        if self.shape.layer_norm and "_q_" not in name and "_k_" not in name:
            self.vector(name + ".bias", size, 0.0)

    def metadata(self, g: GGUFWriter) -> None:
        s = self.shape
        g.add_name(f"{s.family} {self.kind}, random weights")
        g.add_context_length(s.context)
        g.add_embedding_length(s.hidden)
        g.add_block_count(s.layers)
        g.add_feed_forward_length(s.ffn)
        g.add_head_count(s.heads)
        g.add_head_count_kv(s.kv)
        g.add_key_length(s.head_dim)
        g.add_value_length(s.head_dim)
        g.add_rope_freq_base(s.theta)
        # Bailing's second generation turns the first half of each head.
        g.add_rope_dimension_count(s.head_dim // 2 if s.fused else s.head_dim)
        g.add_vocab_size(s.vocab)
        if s.layer_norm:
            g.add_layer_norm_eps(1e-5)
        else:
            g.add_layer_norm_rms_eps(1e-6)
        if s.experts:
            g.add_expert_count(s.experts)
            g.add_expert_used_count(s.top_k)
            g.add_expert_feed_forward_length(s.expert_ffn)
        if s.more:
            g.add_leading_dense_block_count(s.dense_layers)
            g.add_expert_shared_count(s.more["shared"])
            g.add_expert_group_count(s.more["groups"])
            g.add_expert_group_used_count(s.more["groups_used"])
            g.add_expert_weights_scale(s.more["weights_scale"])
            g.add_expert_weights_norm(s.more["weights_norm"])
            g.add_uint32(f"{s.family}.expert_gating_func", s.more["gating"])
        add_tokenizer(g, s.vocab, s.pre)

    def attention(self, p: str) -> None:
        s = self.shape
        dim, kv = s.heads * s.head_dim, s.kv * s.head_dim
        self.norm(p + "attn_norm", s.hidden)
        if s.fused:
            self.matrix(p + "attn_qkv", (dim + 2 * kv, s.hidden))
        else:
            for part, rows in (("q", dim), ("k", kv), ("v", kv)):
                self.matrix(p + f"attn_{part}", (rows, s.hidden))
                if s.qkv_bias:
                    self.vector(p + f"attn_{part}.bias", rows, 0.0)
        if s.qk_norm:
            self.norm(p + "attn_q_norm", s.head_dim)
            self.norm(p + "attn_k_norm", s.head_dim)
        self.matrix(p + "attn_output", (s.hidden, dim))
        if s.layer_norm:
            self.vector(p + "attn_output.bias", s.hidden, 0.0)

    def feed_forward(self, p: str, layer: int) -> None:
        s = self.shape
        self.norm(p + "ffn_norm", s.hidden)
        if not s.experts or layer < s.dense_layers:
            if not s.layer_norm:
                self.matrix(p + "ffn_gate", (s.ffn, s.hidden))
            self.matrix(p + "ffn_up", (s.ffn, s.hidden))
            self.matrix(p + "ffn_down", (s.hidden, s.ffn))
            if s.layer_norm:
                self.vector(p + "ffn_up.bias", s.ffn, 0.0)
                self.vector(p + "ffn_down.bias", s.hidden, 0.0)
            return
        self.matrix(p + "ffn_gate_inp", (s.experts, s.hidden), kind="F32")
        self.matrix(p + "ffn_gate_exps", (s.experts, s.expert_ffn, s.hidden))
        self.matrix(p + "ffn_up_exps", (s.experts, s.expert_ffn, s.hidden))
        self.matrix(p + "ffn_down_exps", (s.experts, s.hidden, s.expert_ffn))
        if s.more:
            self.vector(p + "exp_probs_b.bias", s.experts, 0.0, 0.02)
            wide = s.expert_ffn * s.more["shared"]
            self.matrix(p + "ffn_gate_shexp", (wide, s.hidden))
            self.matrix(p + "ffn_up_shexp", (wide, s.hidden))
            self.matrix(p + "ffn_down_shexp", (s.hidden, wide))

    def write(self) -> None:
        s = self.shape
        for file in self.files:
            self.metadata(file)
        # A tied embedding is also the output; the first norm evens its size out.
        spread = LOGIT_SPREAD if s.tied else np.sqrt(s.hidden)
        self.matrix("token_embd", (s.vocab, s.hidden), spread, self.embedding)
        for layer in range(s.layers):
            self.attention(f"blk.{layer}.")
            self.feed_forward(f"blk.{layer}.", layer)
        self.norm("output_norm", s.hidden)
        if not s.tied:
            self.matrix("output", (s.vocab, s.hidden), LOGIT_SPREAD)
        for file in self.files:
            file.write_header_to_file()
            file.write_kv_data_to_file()
            file.write_tensors_to_file()
            file.close()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if "--speed" in sys.argv:
        for kind, embedding in (("Q4_K", "Q6_K"), ("Q8_0", "Q8_0")):
            Writer(folder, f"speed-{kind}.gguf", SPEED, kind, embedding).write()
        return
    for shape in SHAPES:
        for kind in TYPES_OF.get(shape.family, ["F32", "Q8_0"]):
            Writer(folder, f"{shape.family}-{kind}.gguf", shape, kind, kind).write()


if __name__ == "__main__":
    main()
