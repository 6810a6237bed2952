"""Writes a model folder from a checkpoint: config.json, tokenizer.json, model.safetensors.

The matrices are packed in the layout of neuralmagic/compressed-tensors: int4 as X.weight_packed,
X.weight_scale and X.weight_shape; f8 as X.weight and X.weight_scale. Vectors stay float32.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import shutil

import torch
from model import Config
from quantize import GROUP, quantize_f8, quantize_int4
from safetensors.torch import save_file
from tokenizer import END
from torch import Tensor


def pack_int4(values: Tensor) -> Tensor:
    """int8 [rows, cols] of -8..7 -> int32 [rows, cols / 8], value + 8, the first in the lowest
    bits."""
    nibbles = (values.to(torch.int64) + 8).unflatten(-1, (-1, 8))
    words = (nibbles << (4 * torch.arange(8))).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def packed(name: str, weight: Tensor, kind: str) -> dict[str, Tensor]:
    """The tensors that stand for matrix `name` ("...weight" left out) in format `kind`."""
    if kind == "int4":
        values, scale = quantize_int4(weight)
        shape = torch.tensor(weight.shape, dtype=torch.int64)
        return {
            f"{name}.weight_packed": pack_int4(values),
            f"{name}.weight_scale": scale.contiguous(),
            f"{name}.weight_shape": shape,
        }
    values, scale = quantize_f8(weight)
    return {f"{name}.weight": values, f"{name}.weight_scale": scale}


def split_experts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint's own names: a layer's stacked experts become one matrix each."""
    result = {}
    for name, tensor in state.items():
        if name.endswith("experts.gate_up"):
            base = name.removesuffix(".gate_up")
            for e, both in enumerate(tensor):
                gate, up = both.chunk(2, dim=0)
                result[f"{base}.{e}.gate_proj.weight"] = gate
                result[f"{base}.{e}.up_proj.weight"] = up
        elif name.endswith("experts.down"):
            base = name.removesuffix(".down")
            for e, down in enumerate(tensor):
                result[f"{base}.{e}.down_proj.weight"] = down
        else:
            result[name] = tensor
    return result


def format_of(name: str, formats: dict[str, str]) -> str | None:
    """int4, f8, or None for what stays float32: vectors, the router and its syntax gate."""
    if name == "model.word_embeddings.weight":
        return "f8"
    if ".mlp.experts." in name:
        return "int4"
    return formats.get(name)


def quantization_config(formats: dict[str, str], names: list[str]) -> dict:
    def group(targets: list[str], bits: int, kind: str, strategy: str, size: int | None) -> dict:
        weights = {"num_bits": bits, "type": kind, "strategy": strategy, "group_size": size,
                   "symmetric": True, "dynamic": False}  # fmt: skip
        return {"targets": targets, "weights": weights, "input_activations": None}

    kinds = {name: format_of(name, formats) for name in names}
    f8 = [name.removesuffix(".weight") for name, kind in kinds.items() if kind == "f8"]
    return {
        "quant_method": "compressed-tensors",
        "format": "mixed-precision",
        "config_groups": {
            "group_0": group(["Linear"], 4, "int", "group", GROUP),
            "group_1": group(f8, 8, "float", "channel", None),
        },
        "ignore": [name for name, kind in kinds.items() if kind is None and ".gate." in name],
    }


def trained(run: pathlib.Path) -> dict[str, float]:
    """How many minutes the weights were trained, and on how many tokens: in `run`, a training's
    folder, and before."""
    before = json.loads((run / "counts.json").read_text())["before"]
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    return {
        "minutes": before["minutes"] + round(last["seconds"] / 60),
        "tokens": before["tokens"] + last["tokensPerSecond"] * last["seconds"],
    }


def export(
    checkpoint: pathlib.Path, config: Config, tokenizer: pathlib.Path, out: pathlib.Path
) -> int:
    """Writes the folder; returns the bytes of model.safetensors."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    formats = state["formats"]
    if formats is None:
        raise ValueError(f"{checkpoint} was made without quantization: train it to its end first")
    tensors: dict[str, Tensor] = {}
    weights = split_experts(state["model"])
    for name, weight in weights.items():
        kind = format_of(name, formats)
        if kind is None:
            tensors[name] = weight.float().contiguous()
        else:
            tensors |= packed(name.removesuffix(".weight"), weight.float(), kind)
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
    shutil.copy(tokenizer, out / "tokenizer.json")
    settings = {
        "architectures": ["RingsideForCausalLM"],
        "model_type": "ringside",
        "model_name": out.name,
        **dataclasses.asdict(config),
        "eos_token_id": END,
        "trained": trained(checkpoint.parent),
        "torch_dtype": "float32",
        "quantization_config": quantization_config(formats, list(weights)),
    }
    (out / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return (out / "model.safetensors").stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    loaded = Config.load(arguments.config)
    size = export(arguments.checkpoint, loaded, arguments.tokenizer, arguments.out)
    print(f"{arguments.out}: {size / 1e6:.2f} MB of weights")
