#!/usr/bin/env python3
"""Writes test/fixtures/native/families.json: the logits and the greedy text of a tiny random model
of every family, in every type of weights, as Hugging Face transformers computes them in float32
(the Bailing families: oracle/ring_linear.py).

Weights are a hash of their names, so none are checked in: hashed_files.cpp makes the same files. A
quantized type's weights are dequantized here by the `gguf` package, and the model runs in float32.

Needs numpy, torch, transformers and gguf. Run: python test/native/make_family_goldens.py
"""

from __future__ import annotations

import copy
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType, dequantize

sys.path.insert(0, str(Path(__file__).parent))
from make_goldens import fractions, hashes  # noqa: E402
from oracle import ring_linear  # noqa: E402

OUT = Path(__file__).parent.parent / "fixtures" / "native" / "families.json"
PROMPT = 24  # tokens
GREEDY = 64
# The best token must lead by this share of the largest logit wherever it is chosen, so that
# rounding cannot change the text; else the hash takes another salt.
LEAD = 1e-3

GGUF_TYPES = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
FOLDER_TYPES = "F32 F16 BF16 FP8 FP8_BLOCK INT4 INT4_128 INT4_ZERO".split()

VOCAB, HIDDEN, FFN, HEADS, KV, HEAD_DIM = 96, 256, 256, 4, 2, 64

# ---- types of weights: a hash of the name, and the floats that it stands for ----


def half(values) -> np.ndarray:
    return np.asarray(values, dtype="<f2").view("u1").reshape(*np.shape(values), 2)


# Bytes of a block, and its float16 fields: byte offset -> the value at quarter 0 of 0 .. 3; a field
# is value * (1 + quarter / 4), so that blocks differ.
BLOCKS = {
    "Q8_0": (32, 34, {0: 2.0**-10}),
    "Q4_0": (32, 18, {0: 2.0**-6}),
    "Q4_1": (32, 20, {0: 2.0**-6, 2: -8 * 2.0**-6}),
    "Q5_0": (32, 22, {0: 2.0**-7}),
    "Q5_1": (32, 24, {0: 2.0**-7, 2: -16 * 2.0**-7}),
    "Q4_K": (256, 144, {0: 2.0**-11, 2: 7.5 * 2.0**-11}),
    "Q5_K": (256, 176, {0: 2.0**-12, 2: 15.5 * 2.0**-12}),
    "Q6_K": (256, 210, {208: 2.0**-14}),
}


def block_values(kind: str, name: str, rows: int, cols: int) -> np.ndarray:
    width, size, fields = BLOCKS[kind]
    count = rows * cols // width
    raw = (hashes(name, count * size) >> np.uint64(56)).astype("u1").reshape(count, size)
    quarter = (hashes(name + ".scale", count) >> np.uint64(62)).astype(np.float64)
    for at, value in fields.items():
        raw[:, at : at + 2] = half(value * (1 + quarter / 4))
    data = raw.reshape(rows, cols // width * size)
    return dequantize(data, GGMLQuantizationType[kind]).astype(np.float32)


def f8_values(name: str, rows: int, cols: int) -> np.ndarray:
    bits = hashes(name, rows * cols) >> np.uint64(58)  # sign, two bits of exponent, mantissa
    sign, mantissa = bits >> np.uint64(5), (bits & np.uint64(7)).astype(float)
    exponent = ((bits >> np.uint64(3)) & np.uint64(3)).astype(float)
    values = (1 + mantissa / 8) * 2.0 ** (exponent - 3)
    return np.where(sign == 1, -values, values).reshape(rows, cols)


def quarters(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """1, 1.25, 1.5 or 1.75."""
    steps = (hashes(name, math.prod(shape)) >> np.uint64(62)).astype(np.float64)
    return (1 + steps / 4).reshape(shape)


def int4_values(name: str, rows: int, cols: int, group: int, zeros: bool) -> np.ndarray:
    nibbles = (hashes(name, rows * cols) >> np.uint64(60)).reshape(rows, cols).astype(float)
    scales = quarters(name + ".scale", (rows, cols // group)) / 64
    zero = np.full((rows, cols // group), 8.0)
    if zeros:
        zero = (hashes(name + ".zero", rows * (cols // group)) >> np.uint64(62)).astype(float) + 6
        zero = zero.reshape(rows, cols // group)
    return (nibbles - np.repeat(zero, group, 1)) * np.repeat(scales, group, 1)


def matrix_values(kind: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    rows, cols = math.prod(shape[:-1]), shape[-1]
    if kind in BLOCKS:
        values = block_values(kind, name, rows, cols)
    elif kind == "FP8":
        values = f8_values(name, rows, cols) * quarters(name + ".scale", (rows, 1)) / 8
    elif kind == "FP8_BLOCK":
        down, across = -(-rows // 128), -(-cols // 128)
        scales = np.kron(quarters(name + ".scale", (down, across)) / 8, np.ones((128, 128)))
        values = f8_values(name, rows, cols) * scales[:rows, :cols]
    elif kind.startswith("INT4"):
        group = 128 if kind == "INT4_128" else 32
        values = int4_values(name, rows, cols, group, kind == "INT4_ZERO")
    else:
        values = fractions(name, (rows, cols)) / 8
    return np.asarray(values, dtype=np.float32).reshape(shape)


# Vectors are F32 in every file: (base, scale) of base + fraction * scale.
VECTORS = {"norm": (1.0, 0.25), "bias": (0.0, 0.25), "router": (0.0, 0.25), "lead": (0.0, 0.125)}


def values_of(tensor: list, kind: str, salt: str) -> np.ndarray:
    name, shape, role = tensor
    if role == "matrix":
        return matrix_values(kind, salt + name, tuple(shape))
    base, scale = VECTORS[role]
    return (base + fractions(salt + name, tuple(shape)) * scale).astype(np.float32)


# ---- families ----

LLAMA = dict(
    vocab_size=VOCAB,
    hidden_size=HIDDEN,
    intermediate_size=FFN,
    num_hidden_layers=2,
    num_attention_heads=HEADS,
    num_key_value_heads=KV,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    max_position_embeddings=256,
    hidden_act="silu",
    tie_word_embeddings=False,
)
EXPERTS = dict(num_experts=8, num_experts_per_tok=3, moe_intermediate_size=256)
BAILING = dict(
    LLAMA,
    head_dim=HEAD_DIM,
    **EXPERTS,
    num_shared_experts=1,
    first_k_dense_replace=1,
    n_group=4,
    topk_group=2,
    partial_rotary_factor=0.5,
    routed_scaling_factor=2.5,
    use_qk_norm=True,
    score_function="sigmoid",
    norm_topk_prob=True,
)

FOLDERS = {
    "qwen2": dict(LLAMA, architectures=["Qwen2ForCausalLM"], model_type="qwen2"),
    "qwen2 tied, YaRN": dict(
        LLAMA,
        architectures=["Qwen2ForCausalLM"],
        model_type="qwen2",
        tie_word_embeddings=True,
        rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64),
    ),
    "qwen3": dict(
        LLAMA, architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=HEAD_DIM
    ),
    "qwen3moe": dict(
        LLAMA,
        architectures=["Qwen3MoeForCausalLM"],
        model_type="qwen3_moe",
        head_dim=HEAD_DIM,
        **EXPERTS,
        norm_topk_prob=True,
        decoder_sparse_step=1,
        mlp_only_layers=[0],
    ),
    "llama": dict(LLAMA, architectures=["LlamaForCausalLM"], model_type="llama"),
    "llama, llama3 rope and biases": dict(
        LLAMA,
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        attention_bias=True,
        mlp_bias=True,
        rope_scaling=dict(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=64,
        ),
    ),
    "llama, linear rope": dict(
        LLAMA,
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        rope_scaling=dict(rope_type="linear", factor=4.0),
    ),
    "mistral, sliding window": dict(
        LLAMA, architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=16
    ),
    "starcoder2": dict(
        {k: v for k, v in LLAMA.items() if k not in ("rms_norm_eps", "hidden_act")},
        architectures=["Starcoder2ForCausalLM"],
        model_type="starcoder2",
        norm_epsilon=1e-5,
        hidden_act="gelu_pytorch_tanh",
        sliding_window=20,
        use_bias=True,
        tie_word_embeddings=True,
    ),
    "bailingmoe": dict(
        BAILING,
        architectures=["BailingMoeForCausalLM"],
        model_type="bailing_moe",
        first_k_dense_replace=0,
        n_group=0,
        topk_group=0,
        partial_rotary_factor=1.0,
        routed_scaling_factor=1.0,
        use_qk_norm=False,
        score_function="softmax",
        num_shared_experts=2,
        norm_head=True,
    ),
    "bailingmoe2": dict(
        BAILING,
        architectures=["BailingMoeV2ForCausalLM"],
        model_type="bailing_moe",
        rope_theta=600000.0,
    ),
    "bailing_moe_linear": dict(
        BAILING,
        architectures=["BailingMoeLinearV2ForCausalLM"],
        model_type="bailing_moe_linear",
        num_hidden_layers=4,
        layer_group_size=3,
        group_norm_size=2,
        linear_silu=True,
    ),
    "bailing_moe_linear, shift 1, YaRN": dict(
        BAILING,
        architectures=["BailingMoeLinearV2ForCausalLM"],
        model_type="bailing_moe_linear",
        num_hidden_layers=3,
        layer_group_size=3,
        group_norm_size=4,
        rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64),
    ),
}
# Of these every type is tried; of the variants only F32.
ALL_TYPES = {
    "qwen2", "qwen3", "qwen3moe", "llama", "starcoder2", "bailingmoe", "bailingmoe2",
    "bailing_moe_linear",
}  # fmt: skip
SHIFTED = {"bailing_moe_linear, shift 1, YaRN"}


def is_bailing(config: dict) -> bool:
    return config["architectures"][0].startswith("Bailing")


def oracle_config(config: dict, shift: int) -> ring_linear.Config:
    path = OUT.parent / "config.tmp.json"
    path.write_text(json.dumps(config))
    try:
        c = ring_linear.Config.from_json(str(path))
    finally:
        path.unlink()
    c.slope_layer_shift = shift
    c.moe_router_enable_expert_bias = config["score_function"] == "sigmoid"
    return c


def folder_tensors(config: dict) -> list[list]:
    """[name, shape, role] of every tensor, by Hugging Face name."""
    if is_bailing(config):
        named = {k: list(v) for k, v in oracle_config(config, 0).tensor_shapes().items()}
    else:
        named = {k: list(v.shape) for k, v in hugging_face(config).state_dict().items()}
        named = {k: v for k, v in named.items() if not k.endswith("rotary_emb.inv_freq")}
        if config["tie_word_embeddings"]:
            named.pop("lm_head.weight", None)
        if config["model_type"] == "qwen3_moe":
            named = split_experts(named, config)
    return [[name, shape, role_of(name)] for name, shape in named.items()]


def split_experts(named: dict, config: dict) -> dict:
    """Checkpoints have one tensor an expert, however the library keeps them in memory."""
    result = {}
    for name, shape in named.items():
        if ".mlp.experts." not in name:
            result[name] = shape
    for layer in range(config["num_hidden_layers"]):
        if layer in config["mlp_only_layers"]:
            continue
        for e in range(config["num_experts"]):
            p = f"model.layers.{layer}.mlp.experts.{e}."
            for part in ("gate", "up"):
                result[p + part + "_proj.weight"] = [config["moe_intermediate_size"], HIDDEN]
            result[p + "down_proj.weight"] = [HIDDEN, config["moe_intermediate_size"]]
    return result


def role_of(name: str) -> str:
    if name.endswith("expert_bias") or name.endswith("exp_probs_b.bias"):
        return "lead"
    if name.endswith(".bias"):
        return "bias"
    if name.endswith("mlp.gate.weight") or name.endswith("ffn_gate_inp.weight"):
        return "router"
    return "norm" if "norm" in name else "matrix"


def hugging_face(config: dict):
    known = {k: v for k, v in copy.deepcopy(config).items() if k != "architectures"}
    made = transformers.AutoConfig.for_model(**known)
    made._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(made)
    return model.float().eval()


def load_hugging_face(config: dict, weights: dict[str, np.ndarray]):
    model = hugging_face(config)
    state = {k: torch.tensor(v) for k, v in weights.items()}
    if config["model_type"] == "qwen3_moe":
        fuse_experts(state, config, set(model.state_dict()))
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not [m for m in missing if "inv_freq" not in m], (missing, unexpected)

    def logits(tokens: list[int]) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor([tokens])).logits[0].numpy()

    return logits


def fuse_experts(state: dict, config: dict, wanted: set[str]) -> None:
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}.mlp.experts."
        if p + "gate_up_proj" not in wanted:
            continue
        parts = {"gate": [], "up": [], "down": []}
        for e in range(config["num_experts"]):
            for part, rows in parts.items():
                rows.append(state.pop(f"{p}{e}.{part}_proj.weight"))
        gate, up, down = (torch.stack(parts[part]) for part in ("gate", "up", "down"))
        state[p + "gate_up_proj"] = torch.cat([gate, up], 1)
        state[p + "down_proj"] = down


def load_oracle(config: dict, weights: dict[str, np.ndarray], shift: int):
    state = {k: torch.tensor(v) for k, v in weights.items()}
    model = ring_linear.Model(oracle_config(config, shift), state)

    def logits(tokens: list[int]) -> np.ndarray:
        with torch.no_grad():
            return model.forward(torch.tensor([tokens]))[0].numpy()

    return logits


# ---- GGUF: other names, experts stacked, and rows of q and k reordered for some ----

GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.word_embeddings": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "attention.query_layernorm": "attn_q_norm",
    "attention.key_layernorm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
GGUFS = ["qwen2", "qwen3", "qwen3moe", "llama", "starcoder2", "bailingmoe", "bailingmoe2"]


def gguf_name(name: str) -> str:
    stem, end = name.rsplit(".", 1)
    if end == "expert_bias":
        stem, end = stem.removesuffix(".gate") + ".exp_probs_b", "bias"
    if not stem.startswith("model.layers."):
        return f"{GGUF_NAMES[stem]}.{end}"
    layer, rest = stem.removeprefix("model.layers.").split(".", 1)
    rest = "exp_probs_b" if rest.endswith("exp_probs_b") else GGUF_NAMES[rest]
    return f"blk.{layer}.{rest}.{end}"


def gguf_tensors(family: str, config: dict) -> list[list]:
    tensors = []
    for name, shape, role in folder_tensors(config):
        if ".mlp.experts." in name:
            layer, e, part = name.split(".")[2], name.split(".")[5], name.split(".")[6]
            if e != "0":
                continue
            stack = f"blk.{layer}.ffn_{part.removesuffix('_proj')}_exps.weight"
            tensors.append([stack, [config["num_experts"], *shape], role])
        elif family == "bailingmoe" and "query_key_value" in name:
            p = f"blk.{name.split('.')[2]}."
            tensors.append([p + "attn_q.weight", [HEADS * HEAD_DIM, HIDDEN], role])
            tensors.append([p + "attn_k.weight", [KV * HEAD_DIM, HIDDEN], role])
            tensors.append([p + "attn_v.weight", [KV * HEAD_DIM, HIDDEN], role])
        else:
            tensors.append([gguf_name(name), shape, role])
    return tensors


def in_pairs_to_halves(rows: np.ndarray) -> np.ndarray:
    """Rows of q or k as converters leave them, (i, half) a head, back to (half, i)."""
    heads = rows.shape[0] // HEAD_DIM
    return rows.reshape(heads, HEAD_DIM // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def folder_weights_of_gguf(family: str, config: dict, gguf: dict) -> dict[str, np.ndarray]:
    weights = {}
    for name, shape, _ in folder_tensors(config):
        if ".mlp.experts." in name:
            layer, e, part = name.split(".")[2], int(name.split(".")[5]), name.split(".")[6]
            weights[name] = gguf[f"blk.{layer}.ffn_{part.removesuffix('_proj')}_exps.weight"][e]
        elif family == "bailingmoe" and "query_key_value" in name:
            p = f"blk.{name.split('.')[2]}."
            q, k = (in_pairs_to_halves(gguf[p + f"attn_{x}.weight"]) for x in "qk")
            weights[name] = np.concatenate([q, k, gguf[p + "attn_v.weight"]])
        else:
            weights[name] = gguf[gguf_name(name)]
        pairs = family == "llama" and (".q_proj." in name or ".k_proj." in name)
        if pairs:
            weights[name] = in_pairs_to_halves(weights[name])
        assert list(weights[name].shape) == shape, name
    return weights


def metadata_of(family: str, config: dict) -> dict:
    values = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": HIDDEN,
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": FFN,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV,
        "attention.key_length": HEAD_DIM,
        "attention.value_length": HEAD_DIM,
        "rope.freq_base": config["rope_theta"],
        "rope.dimension_count": int(HEAD_DIM * config.get("partial_rotary_factor", 1)),
    }
    if family == "starcoder2":
        values["attention.layer_norm_epsilon"] = config["norm_epsilon"]
        values["attention.sliding_window"] = config["sliding_window"]
    else:
        values["attention.layer_norm_rms_epsilon"] = config["rms_norm_eps"]
    if "num_experts" in config:
        values["expert_count"] = config["num_experts"]
        values["expert_used_count"] = config["num_experts_per_tok"]
        values["expert_feed_forward_length"] = config["moe_intermediate_size"]
    if is_bailing(config):
        softmax = config["score_function"] == "softmax"
        values["expert_shared_count"] = config["num_shared_experts"]
        values["expert_weights_scale"] = config["routed_scaling_factor"]
        values["expert_weights_norm"] = config["norm_topk_prob"]
        values["leading_dense_block_count"] = config["first_k_dense_replace"]
        values["expert_gating_func"] = 1 if softmax else 2
        if not softmax:
            values["expert_group_count"] = config["n_group"]
            values["expert_group_used_count"] = config["topk_group"]
    return {"general.architecture": family, **{f"{family}.{k}": v for k, v in values.items()}}


# ---- goldens ----


def golden(logits_of, salt: str) -> dict | None:
    """The logits behind the prompt and the greedy text; None where a choice is too close."""
    tokens = [int(t) for t in hashes(salt + "prompt", PROMPT) % np.uint64(VOCAB)]
    prompt, first = list(tokens), None
    for _ in range(GREEDY):
        logits = logits_of(tokens)[-1]
        first = logits if first is None else first
        best = np.argsort(-logits)
        if logits[best[0]] - logits[best[1]] < LEAD * np.abs(logits).max():
            return None
        tokens.append(int(best[0]))
    return dict(
        salt=salt,
        tokens=prompt,
        logits=[float(f"{y:.7g}") for y in first],
        greedy=tokens[PROMPT:],
    )


def golden_of(kind: str, tensors: list[list], load) -> dict:
    for attempt in range(200):
        salt = f"{attempt}:"
        values = {t[0]: values_of(t, kind, salt) for t in tensors}
        found = golden(load(values), salt)
        if found is not None:
            return dict(type=kind, **found)
    raise RuntimeError(f"no salt leads to a clear text in {kind}")


def main() -> None:
    families = []
    for name, config in FOLDERS.items():
        shift = int(name in SHIFTED)
        tensors = folder_tensors(config)

        def load(values, config=config, shift=shift):
            if is_bailing(config):
                return load_oracle(config, values, shift)
            return load_hugging_face(config, values)

        types = FOLDER_TYPES if name in ALL_TYPES else ["F32"]
        cases = [golden_of(kind, tensors, load) for kind in types]
        families.append(
            dict(
                name=name, shift=shift, config=json.dumps(config), tensors=tensors, cases=cases
            )
        )
        print(name, [case["salt"] for case in cases], flush=True)
    for name in GGUFS:
        # What GGUF can't say: dense layers among experts, and lengths of rows that are folded in.
        config = {k: v for k, v in FOLDERS[name].items() if k != "norm_head"}
        if "mlp_only_layers" in config:
            config["mlp_only_layers"] = []
        tensors = gguf_tensors(name, config)

        def load_gguf(values, name=name, config=config):
            weights = folder_weights_of_gguf(name, config, values)
            if is_bailing(config):
                return load_oracle(config, weights, 0)
            return load_hugging_face(config, weights)

        cases = [golden_of(kind, tensors, load_gguf) for kind in GGUF_TYPES]
        families.append(
            dict(name=name, metadata=metadata_of(name, config), tensors=tensors, cases=cases)
        )
        print("gguf", name, [case["salt"] for case in cases], flush=True)
    OUT.write_text(json.dumps(families, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
