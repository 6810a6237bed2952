#!/usr/bin/env python3
"""Writes test/fixtures/native/qwen2-tiny.gguf: a whole model as people have it, of random weights,
for tests through the addon and the server: tokenizer, FIM and chat tokens, chat template, Q8_0
weights.

Needs numpy and gguf. Run: python test/native/make_tiny_gguf.py
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np

FIXTURES = Path(__file__).parent.parent / "fixtures" / "native"
HIDDEN, FFN, HEADS, KV, LAYERS, CONTEXT = 64, 96, 4, 2, 2, 4096
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|repo_name|>", "<|file_sep|>"]
CHAT = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def main() -> None:
    tokenizer = json.loads((FIXTURES / "tokenizers" / "qwen2.json").read_text())
    pieces = dict(tokenizer["model"]["vocab"])
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for name in SPECIALS:
        added[name] = max(*pieces.values(), *added.values()) + 1
    count = max(*pieces.values(), *added.values()) + 1
    tokens, types = [f"[unused {i}]" for i in range(count)], [gguf.TokenType.UNUSED] * count
    for piece, token in pieces.items():
        tokens[token], types[token] = piece, gguf.TokenType.NORMAL
    for name, token in added.items():
        tokens[token], types[token] = name, gguf.TokenType.CONTROL

    writer = gguf.GGUFWriter(FIXTURES / "qwen2-tiny.gguf", "qwen2")
    writer.add_name("Tiny Coder")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(added["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT)

    rng = np.random.default_rng(1)

    def add(name: str, *shape: int) -> None:
        if len(shape) == 1:
            values = (rng.standard_normal(shape) / 8 + ("norm" in name)).astype(np.float32)
            return writer.add_tensor(name, values)
        values = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    head_dim = HIDDEN // HEADS
    add("token_embd.weight", count, HIDDEN)
    add("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        p = f"blk.{layer}."
        add(p + "attn_norm.weight", HIDDEN)
        add(p + "ffn_norm.weight", HIDDEN)
        for part, rows in (("q", HIDDEN), ("k", KV * head_dim), ("v", KV * head_dim)):
            add(p + f"attn_{part}.weight", rows, HIDDEN)
            add(p + f"attn_{part}.bias", rows)
        add(p + "attn_output.weight", HIDDEN, HIDDEN)
        add(p + "ffn_gate.weight", FFN, HIDDEN)
        add(p + "ffn_up.weight", FFN, HIDDEN)
        add(p + "ffn_down.weight", HIDDEN, FFN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
