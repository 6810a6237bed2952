"""The model `ringside` in PyTorch: lightning attention, ring attention, experts with a syntax gate.

Parameter names are those of the checkpoint (model.layers.N...), but for the experts of a layer,
which are stacked here: mlp.experts.gate_up [E, 2 I, H] and mlp.experts.down [E, H, I].

Shapes: B sequences, T tokens, H hidden, N heads, D head_dim, E experts, F syntax features.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from quantize import fake_quantize, rounded_inputs
from torch import Tensor, nn


@dataclasses.dataclass
class Config:
    vocab_size: int = 8192
    hidden_size: int = 256
    intermediate_size: int = 768
    moe_intermediate_size: int = 64
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    layer_group_size: int = 3
    group_norm_size: int = 4
    partial_rotary_factor: float = 0.5
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    linear_silu: bool = True
    max_position_embeddings: int = 4096
    num_experts: int = 20
    num_experts_per_tok: int = 3
    num_shared_experts: int = 1
    n_group: int = 1
    topk_group: int = 1
    routed_scaling_factor: float = 1.0
    first_k_dense_replace: int = 1
    tie_word_embeddings: bool = True
    ring_window: int = 128  # 0: full attention
    ring_max_hop: int = 256
    ring_slots: int = 512
    ring_sinks: int = 4
    syntax_features: list[str] = dataclasses.field(default_factory=list)
    copy_shares: list[float] = dataclasses.field(default_factory=list)  # see copying.py

    @staticmethod
    def load(path: pathlib.Path, **changes) -> Config:
        names = {field.name for field in dataclasses.fields(Config)}
        given = {k: v for k, v in json.loads(path.read_text()).items() if k in names}
        return Config(**{**given, **changes})

    def is_ring(self, layer: int) -> bool:
        group = self.layer_group_size
        return (layer + 1) % group == 0 or layer >= self.num_hidden_layers // group * group

    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def hops(self) -> list[int]:
        window, far = self.ring_window, self.ring_max_hop
        return [2**j for j in range(32) if window <= 2**j <= far] if window > 0 else []


def alibi_slopes(heads: int) -> list[float]:
    """Slopes of ALiBi (Press et al. 2021) for a power-of-two number of heads."""
    if heads & (heads - 1):
        raise ValueError(f"{heads} heads: the decay is defined for powers of two")
    start = 2.0 ** (-8.0 / heads)
    return [start ** (i + 1) for i in range(heads)]


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],), weight, eps)


class Linear(nn.Linear):
    """A bias-free linear map that can train against its own quantization."""

    quantized: str | None = None  # the format that the forward pass sees: "int4", "f8" or None
    inputs: str | None = None  # the format whose rounding of the inputs is emulated

    def __init__(self, n_in: int, n_out: int, std: float) -> None:
        super().__init__(n_in, n_out, bias=False)
        nn.init.normal_(self.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(rounded_inputs(x, self.inputs), fake_quantize(self.weight, self.quantized))


class Weight(nn.Module):
    """A named vector, so that its name in the checkpoint is NAME.weight."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))


def rotary(config: Config, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin [T, 1, rotary_dim / 2] of positions 0 .. T-1."""
    half = config.rotary_dim // 2
    frequency = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(length, dtype=torch.float32)[:, None] * frequency
    return angle.cos()[:, None, :], angle.sin()[:, None, :]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, T, heads, D]: halves of the first rotary_dim channels against each other."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)


CHUNK = 128  # tokens a chunk of lightning attention; measured: 64 and 256 are slower on two cores


def lightning(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor) -> Tensor:
    """o_t = q_t sum_{i<=t} exp(-s (t-i)) k_i v_i, in chunks. q, k, v [B, T, N, D]; returns the
    same."""
    batch, length, heads, dim = q.shape
    padding = -length % CHUNK
    if padding:
        q, k, v = (F.pad(x, (0, 0, 0, 0, 0, padding)) for x in (q, k, v))
    count = (length + padding) // CHUNK
    q, k, v = (x.view(batch, count, CHUNK, heads, dim).permute(0, 3, 1, 2, 4) for x in (q, k, v))
    i = torch.arange(CHUNK, device=q.device, dtype=torch.float32)
    s = slopes[:, None]
    distance = i[:, None] - i[None, :]
    decay = torch.exp(-slopes[:, None, None] * distance.clamp(min=0)) * (distance >= 0)
    inside = (q @ k.transpose(-1, -2)) * decay[:, None].to(q.dtype) @ v
    to_end = torch.exp(-s * (CHUNK - 1 - i))[:, None, :, None]
    grown = (k * to_end.to(k.dtype)).transpose(-1, -2) @ v  # [B, N, count, D, D]
    n = torch.arange(count, device=q.device, dtype=torch.float32)
    steps = n[:, None] - n[None, :] - 1
    carry = torch.exp(-slopes[:, None, None] * CHUNK * steps.clamp(min=0)) * (steps >= 0)
    state = torch.einsum("hnm,bhmxy->bhnxy", carry.to(q.dtype), grown)
    from_start = torch.exp(-s * (i + 1))[:, None, :, None]
    out = inside + (q * from_start.to(q.dtype)) @ state
    return out.permute(0, 2, 3, 1, 4).reshape(batch, length + padding, heads, dim)[:, :length]


def ring_attention(q: Tensor, k: Tensor, v: Tensor, config: Config) -> Tensor:
    """Softmax over the window, the hops and the sinks, block by block: no T x T matrix.

    q [B, N, T, D], k and v [B, N, T, D] (heads repeated). T must be a multiple of the window.
    """
    window, sinks = config.ring_window, config.ring_sinks
    batch, heads, length, dim = q.shape
    blocks = length // window
    scale = dim**-0.5
    shape = (batch, heads, blocks, window, dim)
    qb, kb, vb = q.view(shape), k.view(shape), v.view(shape)

    def with_previous(x: Tensor) -> Tensor:
        return torch.cat((F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x), dim=3)

    i = torch.arange(window, device=q.device)
    relative = i[:, None] + window - torch.arange(2 * window, device=q.device)[None, :]
    inside = (relative >= 0) & (relative < window)
    first = torch.arange(blocks, device=q.device)[:, None, None] == 0
    real = ~(first & (torch.arange(2 * window, device=q.device) < window)[None, None, :])
    near = (qb @ with_previous(kb).transpose(-1, -2)) * scale
    near = near.masked_fill(~(inside & real), float("-inf")).view(batch, heads, length, 2 * window)

    position = torch.arange(length, device=q.device)
    far, far_values = [], []
    for hop in config.hops:
        k_hop, v_hop = (F.pad(x, (0, 0, hop, 0))[:, :, :length] for x in (k, v))
        score = (q * k_hop).sum(-1, keepdim=True) * scale
        far.append(score.masked_fill((position < hop)[:, None], float("-inf")))
        far_values.append(v_hop)
    sink_distance = position[:, None] - torch.arange(sinks, device=q.device)[None, :]
    counted = sink_distance < window
    for hop in config.hops:
        counted = counted | (sink_distance == hop)
    sink = (q @ k[:, :, :sinks].transpose(-1, -2)) * scale
    sink = sink.masked_fill(counted, float("-inf"))

    weights = torch.cat((near, *far, sink), dim=-1).float().softmax(-1).to(v.dtype)
    near_weights = weights[..., : 2 * window].view(batch, heads, blocks, window, 2 * window)
    out = (near_weights @ with_previous(vb)).view(batch, heads, length, dim)
    for index, v_hop in enumerate(far_values):
        out = out + weights[..., 2 * window + index, None] * v_hop
    return out + weights[..., 2 * window + len(far) :] @ v[:, :, :sinks]


class Attention(nn.Module):
    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.config, self.ring = config, config.is_ring(layer)
        size, dim, heads = config.hidden_size, config.head_dim, config.num_attention_heads
        self.kv_heads = config.num_key_value_heads if self.ring else heads
        self.query_key_value = Linear(size, (heads + 2 * self.kv_heads) * dim, size**-0.5)
        self.dense = Linear(heads * dim, size, 0.2 * size**-0.5 / config.num_hidden_layers**0.5)
        self.query_layernorm, self.key_layernorm = Weight(dim), Weight(dim)
        if not self.ring:
            self.g_proj = Linear(size, heads * dim, size**-0.5)
            self.g_norm = Weight(heads * dim)
            factor = 1 - layer / max(1, config.num_hidden_layers - 1) + 1e-5
            slopes = torch.tensor(alibi_slopes(heads)) * factor
            self.register_buffer("slopes", slopes, persistent=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        c = self.config
        batch, length, _ = x.shape
        heads, dim = c.num_attention_heads, c.head_dim
        qkv = self.query_key_value(x)
        if not self.ring and c.linear_silu:
            qkv = F.silu(qkv)
        qkv = qkv.view(batch, length, heads + 2 * self.kv_heads, dim)
        q, k, v = qkv.split([heads, self.kv_heads, self.kv_heads], dim=2)
        q = rotate(rms(q, self.query_layernorm.weight, c.rms_norm_eps), cos, sin).to(v.dtype)
        k = rotate(rms(k, self.key_layernorm.weight, c.rms_norm_eps), cos, sin).to(v.dtype)
        if not self.ring:
            out = lightning(q * dim**-0.5, k, v, self.slopes).reshape(batch, length, -1).float()
            width = heads * dim // c.group_norm_size
            out = out.view(batch, length, c.group_norm_size, width)
            out = F.rms_norm(out, (width,), None, c.rms_norm_eps).reshape(batch, length, -1)
            return self.dense(out * self.g_norm.weight * torch.sigmoid(self.g_proj(x).float()))
        q = q.transpose(1, 2)
        k, v = (t.transpose(1, 2).repeat_interleave(heads // self.kv_heads, 1) for t in (k, v))
        if c.ring_window > 0:
            padding = -length % c.ring_window
            q, k, v = (F.pad(t, (0, 0, 0, padding)) for t in (q, k, v))
            out = ring_attention(q, k, v, c)[:, :, :length]
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.dense(out.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, size: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.gate_proj = Linear(size, hidden, size**-0.5)
        self.up_proj = Linear(size, hidden, size**-0.5)
        self.down_proj = Linear(hidden, size, 0.2 * hidden**-0.5 / layers**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    """The routed experts of a layer, stacked."""

    quantized: str | None = None
    inputs: str | None = None

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, hidden, count = config.hidden_size, config.moe_intermediate_size, config.num_experts
        self.gate_up = nn.Parameter(torch.randn(count, 2 * hidden, size) * size**-0.5)
        std = 0.2 * hidden**-0.5 / config.num_hidden_layers**0.5
        self.down = nn.Parameter(torch.randn(count, size, hidden) * std)

    def forward(self, x: Tensor, experts: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, H], experts and weights [n, K] -> y [n, H], tokens of each expert [E]."""
        count, top = self.gate_up.shape[0], experts.shape[1]
        flat = experts.reshape(-1)
        order = flat.argsort()
        load = torch.bincount(flat, minlength=count)
        token = order // top
        pieces = x[token].split(load.tolist())
        gate_up = fake_quantize(self.gate_up, self.quantized).to(x.dtype).unbind(0)
        down = fake_quantize(self.down, self.quantized).to(x.dtype).unbind(0)
        outs = []
        for e, piece in enumerate(pieces):
            gate, up = (rounded_inputs(piece, self.inputs) @ gate_up[e].T).chunk(2, dim=-1)
            outs.append(rounded_inputs(F.silu(gate) * up, self.inputs) @ down[e].T)
        weighted = torch.cat(outs) * weights.reshape(-1)[order, None].to(x.dtype)
        return torch.zeros_like(x).index_add_(0, token, weighted), load


class Router(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        count = config.num_experts
        self.weight = nn.Parameter(
            torch.randn(count, config.hidden_size) * config.hidden_size**-0.5
        )
        self.syntax = nn.Parameter(torch.zeros(count, len(config.syntax_features)))
        self.register_buffer("expert_bias", torch.zeros(count))


class Mixture(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.gate = Router(config)
        self.experts = Experts(config)
        hidden = config.moe_intermediate_size * config.num_shared_experts
        self.shared_experts = FeedForward(config.hidden_size, hidden, config.num_hidden_layers)
        self.load: Tensor | None = None  # tokens of each expert in the last forward pass

    def forward(self, x: Tensor, features: Tensor, set_of: Tensor) -> Tensor:
        """x [B, T, H]; features [sets, F] 0/1, row 0 empty; set_of [B, T] rows of it."""
        c = self.config
        flat = x.reshape(-1, x.shape[-1])
        with torch.autocast(x.device.type, enabled=False):
            logits = flat.float() @ self.gate.weight.T
            logits = logits + (features @ self.gate.syntax.T)[set_of.reshape(-1)]
            scores = torch.sigmoid(logits)
            chosen = (scores.detach() + self.gate.expert_bias).topk(c.num_experts_per_tok).indices
            weights = scores.gather(1, chosen)
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * c.routed_scaling_factor
        narrow = flat.to(torch.bfloat16) if torch.is_autocast_enabled(x.device.type) else flat
        y, self.load = self.experts(narrow, chosen, weights)
        return (y + self.shared_experts(flat)).view(*x.shape[:-1], -1)

    @torch.no_grad()
    def balance(self, rate: float) -> None:
        """Moves the selection bias against the load (Wang et al. 2024, auxiliary-loss-free)."""
        load = self.load.float()
        self.gate.expert_bias += rate * torch.sign(load.mean() - load)


class Layer(nn.Module):
    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        self.input_layernorm = Weight(config.hidden_size)
        self.post_attention_layernorm = Weight(config.hidden_size)
        self.attention = Attention(config, index)
        dense = index < config.first_k_dense_replace
        layers = config.num_hidden_layers
        sizes = (config.hidden_size, config.intermediate_size, layers)
        self.mlp = FeedForward(*sizes) if dense else Mixture(config)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, features: Tensor, set_of: Tensor
    ) -> Tensor:
        x = x + self.attention(rms(x, self.input_layernorm.weight, self.eps), cos, sin)
        h = rms(x, self.post_attention_layernorm.weight, self.eps)
        experts = isinstance(self.mlp, Mixture)
        return x + (self.mlp(h, features, set_of) if experts else self.mlp(h))


class Ringside(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        body = nn.Module()
        body.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        nn.init.normal_(body.word_embeddings.weight, std=config.hidden_size**-0.5)
        body.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        body.norm = Weight(config.hidden_size)
        self.model = body
        self.embedding_quantized: str | None = None
        self.head_inputs: str | None = None  # as Linear.inputs, of the tied head

    def embedding(self) -> Tensor:
        return fake_quantize(self.model.word_embeddings.weight, self.embedding_quantized)

    def hidden(self, tokens: Tensor, features: Tensor, set_of: Tensor) -> Tensor:
        """tokens [B, T] -> normed hidden states [B, T, H]."""
        cos, sin = (t.to(tokens.device) for t in rotary(self.config, tokens.shape[1]))
        x = F.embedding(tokens, self.embedding()).float()
        for layer in self.model.layers:
            x = layer(x, cos, sin, features, set_of)
        return rms(x, self.model.norm.weight, self.config.rms_norm_eps)

    def forward(self, tokens: Tensor, features: Tensor, set_of: Tensor) -> Tensor:
        """tokens [B, T] -> logits [B, T, V]."""
        hidden = rounded_inputs(self.hidden(tokens, features, set_of), self.head_inputs)
        return F.linear(hidden, self.embedding())

    def mixtures(self) -> list[Mixture]:
        return [layer.mlp for layer in self.model.layers if isinstance(layer.mlp, Mixture)]

    def counts(self) -> dict[str, float]:
        """Parameters in all, those that one token runs, and the share of the experts' that it
        runs."""
        total = sum(p.numel() for p in self.parameters())
        routed = sum(p.numel() for m in self.mixtures() for p in m.experts.parameters())
        shared = sum(p.numel() for m in self.mixtures() for p in m.shared_experts.parameters())
        run = routed * self.config.num_experts_per_tok / self.config.num_experts
        share = (run + shared) / (routed + shared) if routed else math.nan
        return {
            "parameters": total,
            "activeParameters": total - routed + run,
            "activeExpertShare": share,
        }


def matrices_of(model: Ringside) -> dict[str, tuple[nn.Module, str]]:
    """The quantizable matrices by name: the module that holds each, and its attribute there."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            found[f"{name}.weight"] = (module, "weight")
        if isinstance(module, Experts):
            found[f"{name}.gate_up"], found[f"{name}.down"] = (module, "gate_up"), (module, "down")
    return found
