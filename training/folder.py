"""A model folder back into PyTorch, and what the engine computes with it: weights dequantized, the
inputs of quantized matrices rounded as the engine rounds them (see Type in kernels/backend.h).
"""

from __future__ import annotations

import pathlib

import torch
from model import Config, Experts, Ringside, matrices_of
from quantize import dequantize_f8, dequantize_int4
from safetensors import safe_open
from torch import Tensor

EMBEDDING = "model.word_embeddings"


def unpack_int4(packed: Tensor) -> Tensor:
    """int32 [rows, cols / 8] -> int8 -8..7 [rows, cols]."""
    nibbles = (packed.to(torch.int64)[..., None] >> (4 * torch.arange(8))) & 15
    return (nibbles - 8).flatten(-2).to(torch.int8)


def dequantized(tensors: dict[str, Tensor], name: str) -> tuple[Tensor, str | None]:
    """The matrix `name` in float32 (".weight" left out), and the format it is stored in."""
    if f"{name}.weight_packed" in tensors:
        values = unpack_int4(tensors[f"{name}.weight_packed"])
        return dequantize_int4(values, tensors[f"{name}.weight_scale"]), "int4"
    weight = tensors[f"{name}.weight"]
    if weight.dtype == torch.float8_e4m3fn:
        return dequantize_f8(weight, tensors[f"{name}.weight_scale"]), "f8"
    return weight.float(), None


def stacked(tensors: dict[str, Tensor], name: str, count: int) -> tuple[Tensor, str | None]:
    """`...experts.gate_up` [E, 2 I, H] or `...experts.down` [E, H, I] from the experts' own
    matrices."""
    prefix, kind = name.rsplit(".", 1)
    parts = ["down_proj"] if kind == "down" else ["gate_proj", "up_proj"]
    matrices = [
        dequantized(tensors, f"{prefix}.{e}.{part}") for e in range(count) for part in parts
    ]
    weights = torch.stack([weight for weight, _ in matrices])
    return weights.unflatten(0, (count, len(parts))).flatten(1, 2), matrices[0][1]


def read(folder: pathlib.Path) -> Ringside:
    config = Config.load(folder / "config.json")
    with safe_open(folder / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    model = Ringside(config)
    state = {name: tensors[name] for name in model.state_dict() if name in tensors}
    state[f"{EMBEDDING}.weight"], model.head_inputs = dequantized(tensors, EMBEDDING)
    for name, (module, _) in matrices_of(model).items():
        if isinstance(module, Experts):
            state[name], module.inputs = stacked(tensors, name, config.num_experts)
        else:
            state[name], module.inputs = dequantized(tensors, name.removesuffix(".weight"))
    model.load_state_dict(state)
    return model.eval()


def read_checkpoint(path: pathlib.Path, config: Config) -> Ringside:
    """The model as it was trained, in float32."""
    model = Ringside(config)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    return model.eval()
