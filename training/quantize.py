"""The two narrow formats of the weights, and which matrix gets which.

int4: groups of 32 along the columns, symmetric, values -8..7, float16 scale = max|w| / 7.
f8:   E4M3, one float32 scale a row = max|w| / 448.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32
E4M3_MAX = 448.0


def quantize_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[..., rows, cols] -> values int8 -8..7 of the same shape, scales float16 [..., rows, cols /
    32].

    Of a few scales around max|w| / 7, each group takes the one with the least squared error.
    """
    groups = weight.detach().float().unflatten(-1, (-1, GROUP))
    top = groups.abs().amax(-1, keepdim=True).clamp(min=1e-7)
    best = error = None
    for share in (1.0, 0.93, 0.86):
        scale = (top * (share / 7)).half().float().clamp(min=6e-8)
        values = (groups / scale).round().clamp(-8, 7)
        wrong = (values * scale - groups).square().sum(-1, keepdim=True)
        if best is None:
            best, error = (values, scale), wrong
            continue
        better = wrong < error
        best = (torch.where(better, values, best[0]), torch.where(better, scale, best[1]))
        error = torch.where(better, wrong, error)
    values, scale = best
    return values.flatten(-2).to(torch.int8), scale.squeeze(-1).half()


def dequantize_int4(values: Tensor, scale: Tensor) -> Tensor:
    return (values.float().unflatten(-1, (-1, GROUP)) * scale.float()[..., None]).flatten(-2)


def quantize_f8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[..., rows, cols] -> float8_e4m3fn of the same shape, scales float32 [..., rows, 1]."""
    weight = weight.detach().float()
    scale = weight.abs().amax(-1, keepdim=True).clamp(min=1e-12) / E4M3_MAX
    return (weight / scale).to(torch.float8_e4m3fn), scale


def dequantize_f8(values: Tensor, scale: Tensor) -> Tensor:
    return values.float() * scale


def quantized(weight: Tensor, kind: str) -> Tensor:
    """`weight` as it comes back from `kind`."""
    if kind == "int4":
        return dequantize_int4(*quantize_int4(weight))
    if kind == "f8":
        return dequantize_f8(*quantize_f8(weight))
    raise ValueError(f"no format {kind}: int4 and f8 are known")


def fake_quantize(weight: Tensor, kind: str | None) -> Tensor:
    """The quantized weight going forward, the gradient straight through (Bengio et al. 2013)."""
    if kind is None:
        return weight
    return weight + (quantized(weight, kind) - weight).detach()


def rounded_inputs(x: Tensor, kind: str | None) -> Tensor:
    """x as the engine's matmul sees it (kernels/backend.h): int4 meets int8 in groups, f8
    bfloat16."""
    if kind is None:
        return x
    if kind == "f8":
        return x.to(torch.bfloat16).to(x.dtype)
    groups = x.unflatten(-1, (-1, GROUP))
    scale = groups.abs().amax(-1, keepdim=True) / 127
    whole = (groups / torch.where(scale == 0, 1.0, scale)).round()
    return (whole * scale).flatten(-2)


def sensitivity(weight: Tensor, squared_gradient: Tensor) -> float:
    """How much the loss is expected to rise if `weight` goes to int4: the second-order term with
    the
    mean squared gradient (empirical Fisher) in the Hessian's place, by parameter."""
    change = quantized(weight, "int4") - weight.detach().float()
    return float((squared_gradient * change.square()).sum() / 2) / weight.numel()


def plan(sensitivities: dict[str, float], sizes: dict[str, int], share: float) -> dict[str, str]:
    """The most sensitive matrices go to f8 until they hold `share` of all the parameters."""
    left = share * sum(sizes.values())
    formats = {}
    for name in sorted(sensitivities, key=sensitivities.get, reverse=True):
        formats[name] = "f8" if sizes[name] <= left else "int4"
        if formats[name] == "f8":
            left -= sizes[name]
    return formats
