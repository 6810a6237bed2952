"""Makes training/ importable, and a model small enough for a test."""

import pathlib
import sys

TRAINING = pathlib.Path(__file__).parents[2] / "training"
sys.path.insert(0, str(TRAINING))

from model import Config  # noqa: E402

TINY = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "ring_window": 16,
    "ring_max_hop": 64,
    "syntax_features": ["a", "b", "c"],
}


def tiny(**changes) -> Config:
    return Config(**{**TINY, **changes})
