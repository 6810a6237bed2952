"""Trains `ringside` for a given time: the schedule follows the clock, so a run ends well on any
machine.

The learning rate is warmed up, held, and brought to zero over the last part (warm-up, stable,
decay); for the last QUANTIZED_SHARE of the time the forward pass sees the quantized weights. A
run that was stopped goes on from its last checkpoint, with the time that was left. `--start` trains
a finished model further: its weights, which the last run brought to rest, are warmed up to less
than the full rate, which falls from there on.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import time

import numpy as np
import quantize
import torch
import torch.nn.functional as F
from folder import read
from model import Config, Experts, Ringside, matrices_of
from torch import Tensor

WARMUP_SHARE = 0.02
DECAY_SHARE = 0.45
CONTINUED_RATE = 0.7  # of the full rate, where a finished model is trained on; no other was tried
QUANTIZED_SHARE = 0.2  # of the time; what quantization costs is mostly learnt back in it
F8_SHARE = 0.08  # of the matrices' parameters, the embedding not counted
MUON_RATE, ADAM_RATE = 0.02, 3e-3
BALANCE_RATE = 2e-3  # of the experts' selection bias, a step
MIDDLE_WEIGHT = 4.0  # of a middle's tokens in the loss: they are what it is for, and 2% of all
SAVE_SECONDS = 240
KEPT_ROWS = 300  # of the text, that no run reads: copying.py fits on them
CE_ROWS = 2048  # tokens whose logits are made at once: larger blocks fall out of the cache


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest semi-orthogonal matrix by five Newton-Schulz steps (Jordan et
    al. 2024).

    Takes matrices [rows, cols] and stacks of them [E, rows, cols].
    """

    def __init__(self, parameters, rate: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(momentum, group["momentum"]))
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.add_(update.to(p.dtype), alpha=-group["lr"] * scale)


def orthogonal(g: Tensor, steps: int = 5) -> Tensor:
    a, b, c = 3.4445, -4.7750, 2.0315  # the quintic's coefficients of the reference above
    x = g.to(narrow_type(g.device.type))
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


@functools.cache
def narrow_type(device: str) -> torch.dtype:
    """What products are computed in: bfloat16 where the processor multiplies it. Where it doesn't,
    float32 is eight times as fast (AVX2, two cores: 78 to 99 for 10 to 12 GFLOP/s)."""
    processor = torch.cpu.get_capabilities()
    native = any(processor.get(key) for key in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if device != "cpu" or native else torch.float32


def narrowed(device: str) -> torch.autocast:
    kind = narrow_type(device)
    return torch.autocast(device, kind, enabled=kind != torch.float32)


def optimizers(model: Ringside) -> list[torch.optim.Optimizer]:
    matrices, rest = [], []
    for name, p in model.named_parameters():
        is_matrix = p.ndim >= 2 and "word_embeddings" not in name and ".gate." not in name
        (matrices if is_matrix else rest).append(p)
    adam = torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    return [Muon(matrices, MUON_RATE), adam]


def rate_at(share: float, continued: bool) -> float:
    """The learning rate's factor when `share` of the time has passed."""
    peak, decay = (CONTINUED_RATE, 1 - WARMUP_SHARE) if continued else (1.0, DECAY_SHARE)
    if share < WARMUP_SHARE:
        return peak * share / WARMUP_SHARE
    return peak * min(1.0, max(0.0, (1 - share) / decay))


def read_and_kept(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Of so many rows, those to train on and those that no training reads."""
    order = np.random.default_rng(0).permutation(rows)
    return np.sort(order[:-KEPT_ROWS]), order[-KEPT_ROWS:]


class Data:
    """Shards made by pack.py; batches in a fixed order, so that a resumed run sees what is left."""

    def __init__(self, files: list[pathlib.Path]) -> None:
        self.shards = [dict(np.load(file)) for file in files]
        self.where = [
            (s, r)
            for s, shard in enumerate(self.shards)
            for r in read_and_kept(len(shard["tokens"]))[0]
        ]
        if not self.where:
            names = ", ".join(map(str, files))
            raise ValueError(f"{names}: {KEPT_ROWS} rows are kept back, and no other is there")

    def batch(self, step: int, size: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
        """tokens [size, T + 1], features [sets, F], set_of [size, T + 1]."""
        order = np.random.default_rng(step * size // len(self.where))
        epoch = order.permutation(len(self.where))
        picked = [self.where[epoch[(step * size + i) % len(self.where)]] for i in range(size)]
        tokens, sets, features, base = [], [], [self.shards[0]["features"][:1]], 1
        for shard, row in picked:
            data = self.shards[shard]
            used, local = np.unique(data["set_of"][row], return_inverse=True)
            local = local.reshape(-1)  # used[0] may not be 0: every row of the table is copied
            sets.append(np.where(data["set_of"][row] == 0, 0, base + local))
            features.append(data["features"][used])
            base += len(used)
            tokens.append(data["tokens"][row])
        return (
            torch.from_numpy(np.stack(tokens).astype(np.int64)).to(device),
            torch.from_numpy(np.concatenate(features).astype(np.float32)).to(device),
            torch.from_numpy(np.stack(sets).astype(np.int64)).to(device),
        )


def loss_of(
    model: Ringside, batch: tuple[Tensor, Tensor, Tensor], gate: bool = True
) -> tuple[Tensor, Tensor]:
    """The weighted loss to train on, and the plain mean loss in nats a token."""
    tokens, features, set_of = batch
    given = set_of[:, :-1] if gate else torch.zeros_like(set_of[:, :-1])
    hidden = model.hidden(tokens[:, :-1], features, given)
    embedding = model.embedding()
    hidden, targets = hidden.reshape(-1, hidden.shape[-1]), tokens[:, 1:].reshape(-1)
    weights = torch.where(set_of[:, :-1].reshape(-1) > 0, MIDDLE_WEIGHT, 1.0)
    losses = torch.cat([
        token_losses(h, t, embedding)
        for h, t in zip(hidden.split(CE_ROWS), targets.split(CE_ROWS), strict=True)
    ])  # fmt: skip
    return (losses * weights).sum() / weights.sum(), losses.detach().mean()


def token_losses(hidden: Tensor, targets: Tensor, embedding: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, embedding).float(), targets, reduction="none")


def apply_plan(model: Ringside, formats: dict[str, str]) -> None:
    """From here on the forward pass sees the quantized weights. A layer's experts share one
    format."""
    for name, (module, _) in matrices_of(model).items():
        if name in formats:
            module.quantized = "int4" if isinstance(module, Experts) else formats[name]
    model.embedding_quantized = "f8"


def make_plan(
    model: Ringside, data: Data, first_step: int, size: int, device: str
) -> dict[str, str]:
    """Formats by the sensitivity measured on a few batches. Experts are int4: they are most of
    the file."""
    matrices = matrices_of(model)
    squares = {name: torch.zeros_like(getattr(m, a)) for name, (m, a) in matrices.items()}
    batches = 4
    for i in range(batches):
        model.zero_grad(set_to_none=True)
        with narrowed(device):
            loss_of(model, data.batch(first_step + i, size, device))[0].backward()
        for name, (module, attribute) in matrices.items():
            squares[name] += getattr(module, attribute).grad.square() / batches
    model.zero_grad(set_to_none=True)
    dense = {n: getattr(m, a) for n, (m, a) in matrices.items() if not isinstance(m, Experts)}
    by_name = {name: quantize.sensitivity(w, squares[name]) for name, w in dense.items()}
    sizes = {name: getattr(m, a).numel() for name, (m, a) in matrices.items()}
    share = F8_SHARE * sum(sizes.values()) / sum(sizes[name] for name in dense)
    formats = quantize.plan(by_name, {name: sizes[name] for name in dense}, share)
    experts = {name: "int4" for name in matrices if name not in dense}
    return {**formats, **experts}


def save(path: pathlib.Path, **state) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train(arguments: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(arguments.seed)
    config = Config.load(arguments.config, **json.loads(arguments.changes))
    model = Ringside(config).to(device)
    all_optimizers = optimizers(model)
    rates = [o.param_groups[0]["lr"] for o in all_optimizers]
    data = Data(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.out / "checkpoint.pt"
    step, spent, formats = 0, 0.0, None
    if not checkpoint.exists():
        before = {"minutes": 0, "tokens": 0}
        if arguments.start:
            model.load_state_dict(read(arguments.start).state_dict())
            before = json.loads((arguments.start / "config.json").read_text())["trained"]
        counts = model.counts() | {"device": device, "rows": len(data.where), "before": before}
        (arguments.out / "counts.json").write_text(json.dumps(counts))
        print(json.dumps(counts), flush=True)
    else:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(all_optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, spent, formats = state["step"], state["spent"], state["formats"]
    if formats is not None:
        apply_plan(model, formats)
    log = open(arguments.out / "log.jsonl", "a")
    began = saved_at = time.monotonic() - spent
    while (share := share_done(arguments, step, spent := time.monotonic() - began)) < 1:
        if formats is None and share > 1 - QUANTIZED_SHARE and not arguments.unquantized:
            formats = make_plan(model, data, step, arguments.batch, device)
            apply_plan(model, formats)
        factor = rate_at(share, arguments.start is not None)
        for optimizer, rate in zip(all_optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        with narrowed(device):
            loss, mean = loss_of(
                model, data.batch(step, arguments.batch, device), not arguments.no_gate
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in all_optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        for mixture in model.mixtures():
            mixture.balance(BALANCE_RATE * factor)
        step += 1
        if step % 10 == 0:
            now = time.monotonic() - began
            tokens = step * arguments.batch * (data.shards[0]["tokens"].shape[1] - 1)
            row = {"step": step, "seconds": round(now), "loss": round(float(mean), 4),
                   "tokensPerSecond": round(tokens / now), "spread": spread(model)}  # fmt: skip
            print(json.dumps(row), file=log, flush=True)
        if time.monotonic() - saved_at > SAVE_SECONDS:
            save_state(checkpoint, model, all_optimizers, step, time.monotonic() - began, formats)
            saved_at = time.monotonic()
    save_state(checkpoint, model, all_optimizers, step, spent, formats)


def share_done(arguments: argparse.Namespace, step: int, spent: float) -> float:
    """By the clock; by the number of steps where one is given, so that runs can be compared."""
    return step / arguments.steps if arguments.steps else spent / (arguments.minutes * 60)


def save_state(path, model, all_optimizers, step, spent, formats) -> None:
    states = [optimizer.state_dict() for optimizer in all_optimizers]
    save(path, model=model.state_dict(), optimizers=states, step=step, spent=spent, formats=formats)


def spread(model: Ringside) -> float:
    """The busiest expert's load over the mean: 1 is balanced."""
    return round(max(float(m.load.max() / m.load.float().mean()) for m in model.mixtures()), 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--start", type=pathlib.Path, help="a model folder to train further")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=4, help="rows a step")
    parser.add_argument("--steps", type=int, default=0, help="so many, whatever the time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--changes", default="{}", help="JSON: other values for keys of the config")
    parser.add_argument("--no-gate", action="store_true", help="train without the syntax features")
    parser.add_argument("--unquantized", action="store_true")
    train(parser.parse_args())
