#!/usr/bin/env python3
"""Writes test/fixtures/native: what the engine must compute, from an independent implementation.

goldens.json  logits of tiny models whose weights are a hash of their names, so that no weights need
              to be checked in: tiny_model.cpp makes the same files.
tiny/         one such model as a folder, for tests through the addon; its tokenizer is of
              make_encodings.py.

Needs numpy. Run: python test/native/make_goldens.py
"""

from __future__ import annotations

import json
import math
import random
import struct
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "fixtures" / "native"
GROUP = 32  # columns that share a scale in int4

BASE = dict(
    architectures=["RingsideForCausalLM"],
    model_type="ringside",
    model_name="tiny",
    vocab_size=320,
    hidden_size=64,
    intermediate_size=96,
    moe_intermediate_size=32,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    layer_group_size=3,
    group_norm_size=2,
    partial_rotary_factor=0.5,
    rope_theta=10000.0,
    rms_norm_eps=1e-6,
    linear_silu=True,
    max_position_embeddings=1024,
    num_experts=8,
    num_experts_per_tok=2,
    num_shared_experts=1,
    n_group=1,
    topk_group=1,
    routed_scaling_factor=1.5,
    first_k_dense_replace=1,
    tie_word_embeddings=True,
    ring_window=8,
    ring_max_hop=16,
    ring_slots=48,
    ring_sinks=2,
    syntax_features=["in_string", "in_comment", "in_call", "in_type", "after_dot"],
    torch_dtype="float32",
)

VARIANTS = {
    "f32": ("f32", {}),
    "f16": ("f16", {}),
    "bf16": ("bf16", {}),
    "mixed": ("mixed", {}),
    "full attention": ("f32", dict(ring_window=0)),
    "expert groups": ("f32", dict(n_group=4, topk_group=2)),
    "dense only": ("f32", dict(num_experts=0, num_hidden_layers=4, syntax_features=[])),
    "odd group, no silu": ("f32", dict(num_hidden_layers=5, linear_silu=False, ring_sinks=0)),
    "far hops": ("f32", dict(ring_max_hop=128, ring_slots=160)),
}


# ---- weights that are a hash of the tensor's name and the element's index ----


def hashes(name: str, count: int) -> np.ndarray:
    """uint64 [count]: splitmix64 of FNV-1a(name) + index."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def fractions(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 1/64 in [-1, 1): exact in every floating-point type of a checkpoint."""
    bits = hashes(name, math.prod(shape)) >> np.uint64(57)
    return ((bits.astype(np.int64) - 64) / 64.0).reshape(shape)


class Weights:
    """Tensors by name; how a matrix is stored decides how its inputs are rounded."""

    def __init__(self, formats: str):
        self.formats = formats
        self.tensors: dict[str, tuple[str, np.ndarray]] = {}  # dtype, raw array, as the file has it

    def kind(self, name: str) -> str:
        if self.formats != "mixed":
            return self.formats
        return ("int4", "f8")[int(hashes(name, 1)[0] & np.uint64(1))]

    def vector(self, name: str, shape: tuple[int, ...], base: float, scale: float) -> np.ndarray:
        values = base + fractions(name, shape) * scale
        self.tensors[name] = ("F32", values.astype("<f4"))
        return values

    def matrix(self, name: str, rows: int, cols: int) -> tuple[str, np.ndarray]:
        """The kind, and the values [rows, cols]."""
        kind = self.kind(name)
        if kind == "int4":
            return kind, self.int4(name, rows, cols)
        if kind == "f8":
            return kind, self.f8(name, rows, cols)
        values = fractions(name, (rows, cols)) * 0.25
        if kind == "f32":
            self.tensors[name + ".weight"] = ("F32", values.astype("<f4"))
        elif kind == "f16":
            self.tensors[name + ".weight"] = ("F16", values.astype("<f2"))
        else:
            bits = values.astype("<f4").view("<u4") >> 16
            self.tensors[name + ".weight"] = ("BF16", bits.astype("<u2"))
        return kind, values

    def int4(self, name: str, rows: int, cols: int) -> np.ndarray:
        nibbles = (hashes(name, rows * cols) >> np.uint64(60)).reshape(rows, cols)
        steps = (hashes(name + ".scale", rows * cols // GROUP) >> np.uint64(62)).astype(np.float64)
        scales = ((1 + steps / 4) / 32).reshape(rows, cols // GROUP)
        packed = np.zeros((rows, cols // 8), dtype="<u4")
        for i in range(8):
            packed |= nibbles[:, i::8].astype("<u4") << np.uint32(4 * i)
        self.tensors[name + ".weight_packed"] = ("I32", packed)
        self.tensors[name + ".weight_scale"] = ("F16", scales.astype("<f2"))
        self.tensors[name + ".weight_shape"] = ("I64", np.array([rows, cols], dtype="<i8"))
        return (nibbles.astype(np.float64) - 8) * np.repeat(scales, GROUP, axis=1)

    def f8(self, name: str, rows: int, cols: int) -> np.ndarray:
        bits = hashes(name, rows * cols) >> np.uint64(58)  # sign, two bits of exponent, mantissa
        sign, mantissa = bits >> np.uint64(5), bits & np.uint64(7)
        exponent = (bits >> np.uint64(3)) & np.uint64(3)
        code = (sign << np.uint64(7)) | ((exponent + np.uint64(4)) << np.uint64(3)) | mantissa
        steps = (hashes(name + ".scale", rows) >> np.uint64(62)).astype(np.float64)
        scales = ((1 + steps / 4) / 8).reshape(rows, 1)
        self.tensors[name + ".weight"] = ("F8_E4M3", code.astype("u1").reshape(rows, cols))
        self.tensors[name + ".weight_scale"] = ("F32", scales.astype("<f4"))
        values = (1 + mantissa.astype(float) / 8) * 2.0 ** (exponent.astype(float) - 3)
        return np.where(sign == 1, -values, values).reshape(rows, cols) * scales


# ---- the model ----


def round_bf16(x: np.ndarray) -> np.ndarray:
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def round_int8(x: np.ndarray) -> np.ndarray:
    groups = x.astype(np.float32).reshape(*x.shape[:-1], -1, GROUP)
    scale = np.abs(groups).max(-1, keepdims=True) / np.float32(127)
    safe = np.where(scale == 0, np.float32(1), scale)
    return (np.rint(groups / safe) * scale).astype(np.float64).reshape(x.shape)


def matmul(x: np.ndarray, matrix: tuple[str, np.ndarray]) -> np.ndarray:
    kind, w = matrix
    if kind == "int4":
        x = round_int8(x)
    elif kind in ("f8", "bf16"):
        x = round_bf16(x)
    return x @ w.T


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def slopes(n: int) -> list[float]:
    if n & (n - 1) == 0:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    below = 2 ** int(math.log2(n))
    return slopes(below) + slopes(2 * below)[0::2][: n - below]


class Model:
    """Reads a whole sequence at once; x is [tokens, hidden]."""

    def __init__(self, config: dict, formats: str):
        self.c = config
        self.w = Weights(formats)
        self.embedding = self.w.matrix(
            "model.word_embeddings", config["vocab_size"], config["hidden_size"]
        )
        self.norm = self.w.vector("model.norm.weight", (config["hidden_size"],), 1.0, 0.25)
        self.layers = [self.make_layer(i) for i in range(config["num_hidden_layers"])]

    def is_lightning(self, i: int) -> bool:
        group, n = self.c["layer_group_size"], self.c["num_hidden_layers"]
        return group > 1 and (i + 1) % group != 0 and i < n // group * group

    def make_layer(self, i: int) -> dict:
        c, w, p = self.c, self.w, f"model.layers.{i}."
        hidden, heads, head_dim = c["hidden_size"], c["num_attention_heads"], c["head_dim"]
        lightning = self.is_lightning(i)
        kv = heads if lightning else c["num_key_value_heads"]
        layer = dict(
            lightning=lightning,
            kv=kv,
            input=w.vector(p + "input_layernorm.weight", (hidden,), 1.0, 0.25),
            post=w.vector(p + "post_attention_layernorm.weight", (hidden,), 1.0, 0.25),
            qkv=w.matrix(p + "attention.query_key_value", (heads + 2 * kv) * head_dim, hidden),
            dense=w.matrix(p + "attention.dense", hidden, heads * head_dim),
            q=w.vector(p + "attention.query_layernorm.weight", (head_dim,), 1.0, 0.25),
            k=w.vector(p + "attention.key_layernorm.weight", (head_dim,), 1.0, 0.25),
        )
        if lightning:
            layer["gate"] = w.matrix(p + "attention.g_proj", heads * head_dim, hidden)
            layer["g_norm"] = w.vector(
                p + "attention.g_norm.weight", (heads * head_dim,), 1.0, 0.25
            )
        if c["num_experts"] == 0 or i < c["first_k_dense_replace"]:
            layer["ffn"] = self.make_ffn(p + "mlp.", c["intermediate_size"])
            return layer
        n = c["num_experts"]
        layer["router"] = w.vector(p + "mlp.gate.weight", (n, hidden), 0.0, 0.25)
        layer["bias"] = w.vector(p + "mlp.gate.expert_bias", (n,), 0.0, 0.125)
        if c["syntax_features"]:
            shape = (n, len(c["syntax_features"]))
            layer["syntax"] = w.vector(p + "mlp.gate.syntax", shape, 0.0, 1.0)
        width = c["moe_intermediate_size"]
        layer["experts"] = [self.make_ffn(f"{p}mlp.experts.{e}.", width) for e in range(n)]
        layer["shared"] = self.make_ffn(p + "mlp.shared_experts.", c["num_shared_experts"] * width)
        return layer

    def make_ffn(self, p: str, width: int) -> tuple:
        hidden = self.c["hidden_size"]
        return (
            self.w.matrix(p + "gate_proj", width, hidden),
            self.w.matrix(p + "up_proj", width, hidden),
            self.w.matrix(p + "down_proj", hidden, width),
        )

    def rope(self, x: np.ndarray) -> np.ndarray:
        """x [tokens, heads, head_dim]; rotates the first channels, halves against each other."""
        dim = int(self.c["head_dim"] * self.c["partial_rotary_factor"])
        angle = np.arange(len(x))[:, None] * self.c["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        a, b = x[..., : dim // 2], x[..., dim // 2 : dim]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[..., dim:]], -1)

    def attended(self, p: int) -> list[int]:
        c = self.c
        if c["ring_window"] == 0:
            return list(range(p + 1))
        positions = set(range(p - c["ring_window"] + 1, p + 1)) | set(range(c["ring_sinks"]))
        hop = 1
        while hop <= c["ring_max_hop"]:
            if hop >= c["ring_window"]:
                positions.add(p - hop)
            hop *= 2
        return sorted(q for q in positions if 0 <= q <= p)

    def attention(self, x: np.ndarray, layer: dict, index: int) -> np.ndarray:
        c, n = self.c, len(x)
        heads, kv, dim = c["num_attention_heads"], layer["kv"], c["head_dim"]
        qkv = matmul(x, layer["qkv"])
        if layer["lightning"] and c["linear_silu"]:
            qkv = silu(qkv)
        qkv = qkv.reshape(n, heads + 2 * kv, dim)
        q = self.rope(rms_norm(qkv[:, :heads], layer["q"], c["rms_norm_eps"]))
        k = self.rope(rms_norm(qkv[:, heads : heads + kv], layer["k"], c["rms_norm_eps"]))
        v = qkv[:, heads + kv :]
        out = np.zeros((n, heads, dim))
        for h in range(heads):
            if layer["lightning"]:
                depth = index / max(1, c["num_hidden_layers"] - 1)
                keep = math.exp(-slopes(heads)[h] * (1 - depth + 1e-5))
                state = np.zeros((dim, dim))
                for t in range(n):
                    state = keep * state + np.outer(k[t, h], v[t, h])
                    out[t, h] = q[t, h] / math.sqrt(dim) @ state
            else:
                g = h // (heads // kv)
                for t in range(n):
                    at = self.attended(t)
                    scores = k[at, g] @ q[t, h] / math.sqrt(dim)
                    p = np.exp(scores - scores.max())
                    out[t, h] = p / p.sum() @ v[at, g]
        out = out.reshape(n, heads * dim)
        if layer["lightning"]:
            groups = out.reshape(n, c["group_norm_size"], -1)
            normed = rms_norm(groups, 1.0, c["rms_norm_eps"]).reshape(n, -1)
            out = normed * layer["g_norm"] * sigmoid(matmul(x, layer["gate"]))
        return matmul(out, layer["dense"])

    def ffn(self, x: np.ndarray, w: tuple) -> np.ndarray:
        return matmul(silu(matmul(x, w[0])) * matmul(x, w[1]), w[2])

    def experts(self, x: np.ndarray, layer: dict, featured_from: int, features: list[int]):
        c = self.c
        logits = x @ layer["router"].T
        if features:
            logits[featured_from:] += layer["syntax"][:, features].sum(-1)
        scores = sigmoid(logits)
        out = self.ffn(x, layer["shared"])
        for t in range(len(x)):
            biased = scores[t] + layer["bias"]
            groups = biased.reshape(c["n_group"], -1)
            best = np.sort(groups, -1)[:, -2:].sum(-1)
            eligible = np.full_like(groups, -np.inf)
            for g in np.argsort(-best)[: c["topk_group"]]:
                eligible[g] = groups[g]
            chosen = np.argsort(-eligible.ravel())[: c["num_experts_per_tok"]]
            weights = scores[t, chosen] / (scores[t, chosen].sum() + 1e-20)
            scaled = weights * c["routed_scaling_factor"]
            for e, weight in zip(chosen, scaled, strict=True):
                out[t] += weight * self.ffn(x[t : t + 1], layer["experts"][e])[0]
        return out

    def logits(self, tokens: list[int], featured_from: int, features: list[int]) -> np.ndarray:
        eps = self.c["rms_norm_eps"]
        x = self.embedding[1][tokens]
        for i, layer in enumerate(self.layers):
            x = x + self.attention(rms_norm(x, layer["input"], eps), layer, i)
            h = rms_norm(x, layer["post"], eps)
            if "ffn" in layer:
                x = x + self.ffn(h, layer["ffn"])
            else:
                x = x + self.experts(h, layer, featured_from, features)
        return matmul(rms_norm(x, self.norm, eps), self.embedding)


# ---- files ----


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    """Wide types first, so that each tensor is aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name][1].itemsize, name))
    header, data = {}, b""
    for name in order:
        dtype, array = tensors[name]
        raw = array.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = dict(dtype=dtype, shape=list(array.shape), data_offsets=offsets)
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make_goldens() -> list[dict]:
    goldens = []
    for name, (formats, changes) in VARIANTS.items():
        config = {**BASE, **changes}
        rng = random.Random(name)
        tokens = [rng.randrange(5, config["vocab_size"]) for _ in range(290)]
        features = [1, 4] if config["syntax_features"] else []
        logits = Model(config, formats).logits(tokens, 140, features)
        shown = [0, 1, 63, 139, 140, 200, 289]
        goldens.append(
            dict(
                name=name,
                formats=formats,
                config=json.dumps(config),
                tokens=tokens,
                features_from=140,
                features=features,
                positions=shown,
                every=20,  # of the vocabulary
                logits=[[round(float(y), 6) for y in logits[p][::20]] for p in shown],
            )
        )
    return goldens


def main() -> None:
    tiny = OUT / "tiny"
    tiny.mkdir(parents=True, exist_ok=True)
    (OUT / "goldens.json").write_text(json.dumps(make_goldens(), separators=(",", ":")) + "\n")
    quantization = {"quant_method": "compressed-tensors"}
    config = {**BASE, "num_hidden_layers": 3, "quantization_config": quantization}
    (tiny / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_safetensors(tiny / "model.safetensors", Model(config, "mixed").w.tensors)


if __name__ == "__main__":
    main()
