#!/usr/bin/env python3
"""Writes a checkpoint with the exact shape of Ring-mini-linear-2.0 (16.4B parameters) and random
weights: a Hugging Face folder in compressed-tensors int4 (groups of 32, float16 scales), 9.3 GB.

For speed and memory, which hardly depend on what the weights say: they are drawn so that
activations keep their size from layer to layer, and so that routers use all experts.

Needs numpy. Run: python test/bench/ring_mini.py /tmp/ring-mini
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np

TOKENIZER = Path(__file__).parent.parent / "fixtures" / "native" / "tokenizers" / "bailing.json"
CONFIG = dict(
    architectures=["BailingMoeLinearV2ForCausalLM"],
    model_type="bailing_moe_linear",
    model_name="Ring-mini-linear-2.0 shape, random weights",
    vocab_size=157184,
    hidden_size=2048,
    intermediate_size=5120,
    moe_intermediate_size=512,
    num_hidden_layers=20,
    num_attention_heads=16,
    num_key_value_heads=4,
    head_dim=128,
    hidden_act="silu",
    rms_norm_eps=1e-6,
    rope_theta=1e6,
    partial_rotary_factor=0.5,
    max_position_embeddings=131072,
    layer_group_size=5,
    group_norm_size=4,
    linear_silu=True,
    use_qk_norm=True,
    num_experts=256,
    num_experts_per_tok=8,
    num_shared_experts=1,
    n_group=8,
    topk_group=4,
    norm_topk_prob=True,
    score_function="sigmoid",
    routed_scaling_factor=2.5,
    first_k_dense_replace=1,
    tie_word_embeddings=False,
    quantization_config=dict(
        quant_method="compressed-tensors",
        format="pack-quantized",
        config_groups=dict(
            group_0=dict(
                targets=["Linear", "Embedding"],
                weights=dict(
                    num_bits=4, type="int", strategy="group", group_size=32, symmetric=True
                ),
            )
        ),
        ignore=["re:.*mlp.gate$"],
    ),
)
GROUP = 32
LAYERS_A_SHARD = 5
# Writers of safetensors lay a shard's tensors out by alignment, then by name.
ORDER = {"I64": 0, "I32": 1, "F32": 1, "F16": 2}
BYTES = {"I64": 8, "I32": 4, "F32": 4, "F16": 2}
RANDOM = np.random.default_rng(1)


def matrices(layer: int) -> list[tuple[str, int, int]]:
    """(name, rows, cols) of a layer's int4 matrices."""
    c = CONFIG
    hidden, dim = c["hidden_size"], c["num_attention_heads"] * c["head_dim"]
    lightning = (layer + 1) % c["layer_group_size"] != 0
    kv = dim if lightning else c["num_key_value_heads"] * c["head_dim"]
    p = f"model.layers.{layer}."
    found = [(p + "attention.query_key_value", dim + 2 * kv, hidden)]
    found.append((p + "attention.dense", hidden, dim))
    if lightning:
        found.append((p + "attention.g_proj", dim, hidden))
    if layer < c["first_k_dense_replace"]:
        parts = [(p + "mlp.", c["intermediate_size"])]
    else:
        expert = c["moe_intermediate_size"]
        parts = [(p + f"mlp.experts.{e}.", expert) for e in range(c["num_experts"])]
        parts.append((p + "mlp.shared_experts.", expert * c["num_shared_experts"]))
    for name, ffn in parts:
        found.append((name + "gate_proj", ffn, hidden))
        found.append((name + "up_proj", ffn, hidden))
        found.append((name + "down_proj", hidden, ffn))
    return found


def vectors(layer: int) -> list[tuple[str, list[int]]]:
    c = CONFIG
    hidden, lightning = c["hidden_size"], (layer + 1) % c["layer_group_size"] != 0
    p = f"model.layers.{layer}."
    norms = ("input_layernorm", "post_attention_layernorm")
    found = [(p + f"{name}.weight", [hidden]) for name in norms]
    found += [(p + f"attention.{x}_layernorm.weight", [c["head_dim"]]) for x in ("query", "key")]
    if lightning:
        found.append((p + "attention.g_norm.weight", [c["num_attention_heads"] * c["head_dim"]]))
    if layer >= c["first_k_dense_replace"]:
        found.append((p + "mlp.gate.weight", [c["num_experts"], hidden]))
        found.append((p + "mlp.gate.expert_bias", [c["num_experts"]]))
    return found


def int4_tensors(name: str, rows: int, cols: int) -> list[tuple[str, str, list[int]]]:
    return [
        (name + ".weight_packed", "I32", [rows, cols // 8]),
        (name + ".weight_scale", "F16", [rows, cols // GROUP]),
        (name + ".weight_shape", "I64", [2]),
    ]


def values(name: str, dtype: str, shape: list[int], cols: int) -> np.ndarray:
    """The tensor, random. `cols`: of the matrix that it belongs to."""
    if dtype == "I32":  # all values but -8, so that their mean is 0; deviation 4.32
        pairs = np.frombuffer(RANDOM.bytes(math.prod(shape) * 4), "u1").copy()
        pairs[pairs & 0x0F == 0] |= 0x08
        pairs[pairs & 0xF0 == 0] |= 0x80
        return pairs
    if dtype == "F16":
        base = 1 if "word_embeddings" in name else 1 / math.sqrt(cols)
        spread = RANDOM.integers(0, 4, shape).astype(np.float16) / 8
        return ((0.8125 + spread) * np.float16(base / 4.32)).astype("<f2")
    if name.endswith("expert_bias"):
        return RANDOM.normal(0, 0.02, shape).astype("<f4")
    if name.endswith("mlp.gate.weight"):
        return RANDOM.normal(0, 1 / math.sqrt(shape[1]), shape).astype("<f4")
    return np.ones(shape, "<f4")


def write_shard(path: Path, tensors: list[tuple[str, str, list[int]]]) -> int:
    tensors = sorted(tensors, key=lambda t: (ORDER[t[1]], t[0]))
    shapes = {name: shape for name, dtype, shape in tensors if dtype == "I32"}
    header, at = {}, 0
    for name, dtype, shape in tensors:
        size = math.prod(shape) * BYTES[dtype]
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, dtype, shape in tensors:
            packed = shapes.get(name.rsplit(".", 1)[0] + ".weight_packed", [0, 0])
            rows, cols = packed[0], packed[1] * 8
            if dtype == "I64":
                file.write(np.array([rows, cols], "<i8").tobytes())
            else:
                file.write(values(name, dtype, shape, cols).tobytes())
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that reading is cold
    return at


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    c = CONFIG
    ends = [("model.word_embeddings", c["vocab_size"], c["hidden_size"])]
    ends.append(("lm_head", c["vocab_size"], c["hidden_size"]))
    shards = [[t for m in ends for t in int4_tensors(*m)]]
    shards[0].append(("model.norm.weight", "F32", [c["hidden_size"]]))
    for first in range(0, c["num_hidden_layers"], LAYERS_A_SHARD):
        shard = []
        for layer in range(first, first + LAYERS_A_SHARD):
            shard += [t for m in matrices(layer) for t in int4_tensors(*m)]
            shard += [(name, "F32", shape) for name, shape in vectors(layer)]
        shards.append(shard)
    total, places = 0, {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        total += write_shard(folder / name, shard)
        places |= {tensor[0]: name for tensor in shard}
        print(f"{name}: {total / 1e9:.2f} GB so far", flush=True)
    index = dict(metadata=dict(total_size=total), weight_map=places)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2))
    shutil.copy(TOKENIZER, folder / "tokenizer.json")


if __name__ == "__main__":
    main()
