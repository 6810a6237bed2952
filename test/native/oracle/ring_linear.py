#!/usr/bin/env python3
"""
Self-contained float32 CPU reference of the inclusionAI "Bailing MoE" families.

  * BailingMoeLinearV2  (model_type "bailing_moe_linear": Ring-mini-linear-2.0, Ring-flash-linear-2.0)
        -> `layer_group_size` G > 1; layer i is softmax iff (i+1) % G == 0 (or in an incomplete last group)
  * BailingMoeV2        (model_type "bailing_moe", 256 experts: Ling-mini-2.0, Ring-mini-2.0)
        -> same thing with G == 1 (every layer is softmax GQA), rope_theta 600000
  * BailingMoe v1       (model_type "bailing_moe", 64 experts: Ling-Coder-lite, Ling-lite)
        -> softmax router, no qk-norm, full RoPE, normalised lm_head (norm_head)

Written for this project; the oracle of make_family_goldens.py.
Weights are a flat dict of Hugging Face tensor names -> torch tensors, so that the same file can be used as
  - an oracle for a C++/CUDA port (`Model.forward(..., trace=dict)` records every intermediate), and
  - a loader for a real checkpoint (`Model.from_pretrained(dir)`).

Two forms of the linear ("lightning") attention are given and tested against each other:
  la_recurrent : token by token      S_t = exp(-s_h) S_{t-1} + k_t v_t^T ,  o_t = (scale q_t)^T S_t
  la_chunked   : block form, any block length, any start state, float32-stable (no division by tiny decays)

plus the three state operations a code-completion engine needs:
  snapshot / restore, exact rebuild at any position from (checkpoint + k/v log), and inverse update (rollback).

Run:  python ring_linear.py            # self-tests, a few seconds. Needs torch (CPU) and safetensors.
"""
from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F

Tensor = torch.Tensor


# --------------------------------------------------------------------------------------------------------------
# configuration
# --------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Config:
    vocab_size: int = 157184
    hidden_size: int = 2048
    intermediate_size: int = 5120          # dense MLP of layers < first_k_dense_replace
    moe_intermediate_size: int = 512       # each routed expert; shared expert = num_shared_experts * this
    num_hidden_layers: int = 20
    num_attention_heads: int = 16
    num_key_value_heads: int = 4           # softmax layers only; linear layers are MHA (kv heads == heads)
    head_dim: int = 128
    layer_group_size: int = 5              # 1 -> all softmax (BailingMoeV2 / v1)
    group_norm_size: int = 4               # NUMBER of groups of the output norm, not the group width
    partial_rotary_factor: float = 0.5     # first int(head_dim*f) dims are rotated (NeoX halves)
    rope_theta: float = 1_000_000.0
    rope_scaling: Optional[dict] = None    # None or {"type"/"rope_type": "yarn", "factor":.., "original_max_position_embeddings":..}
    max_position_embeddings: int = 131072
    rms_norm_eps: float = 1e-6
    use_qk_norm: bool = True
    use_qkv_bias: bool = False
    use_bias: bool = False
    linear_silu: bool = False              # SiLU on the fused qkv of linear layers (config key linear_silu / use_linear_silu)
    linear_rope: bool = True
    # MoE
    num_experts: int = 256
    num_experts_per_tok: int = 8
    num_shared_experts: int = 1
    n_group: int = 8
    topk_group: int = 4
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 2.5
    score_function: str = "sigmoid"        # "softmax" for v1
    moe_router_enable_expert_bias: bool = True
    first_k_dense_replace: int = 1
    norm_head: bool = False                # v1 only: rows of lm_head are L2-normalised
    tie_word_embeddings: bool = False
    # NOT in config.json. 0: factor 1-i/(L-1)+1e-5 (training code, sglang, vLLM, AReno, MiniMax-01)
    #                     1: factor 1-(i-1)/(L-1)+1e-5 (the Hugging Face remote code, AReaL, mlx-lm without its clamp)
    slope_layer_shift: int = 0

    # -- presets ---------------------------------------------------------------------------------------------
    @staticmethod
    def ring_mini_linear() -> "Config":
        return Config()

    @staticmethod
    def ring_flash_linear() -> "Config":   # group_norm_size / rope_theta not established from a primary source
        return Config(hidden_size=4096, intermediate_size=9216, moe_intermediate_size=1024, num_hidden_layers=32,
                      num_attention_heads=32, num_key_value_heads=4, layer_group_size=8, group_norm_size=4)

    @staticmethod
    def ling_mini_2() -> "Config":
        return Config(layer_group_size=1, rope_theta=600_000.0, max_position_embeddings=32768)

    @staticmethod
    def ling_coder_lite() -> "Config":
        return Config(vocab_size=126464, intermediate_size=5632, moe_intermediate_size=1408, num_hidden_layers=28,
                      layer_group_size=1, partial_rotary_factor=1.0, rope_theta=600_000.0,
                      max_position_embeddings=16384, rms_norm_eps=1e-5, use_qk_norm=False, num_experts=64,
                      num_experts_per_tok=6, num_shared_experts=2, n_group=0, topk_group=0,
                      routed_scaling_factor=1.0, score_function="softmax", moe_router_enable_expert_bias=False,
                      first_k_dense_replace=0, norm_head=True)

    @staticmethod
    def tiny(**kw) -> "Config":
        base = dict(vocab_size=101, hidden_size=48, intermediate_size=80, moe_intermediate_size=24,
                    num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                    layer_group_size=3, group_norm_size=2, num_experts=16, num_experts_per_tok=4,
                    num_shared_experts=1, n_group=4, topk_group=2, max_position_embeddings=512,
                    rope_theta=10_000.0)
        base.update(kw)
        return Config(**base)

    @staticmethod
    def from_json(path: str) -> "Config":
        raw = json.load(open(path))
        names = {f.name for f in dataclasses.fields(Config)}
        kw = {k: v for k, v in raw.items() if k in names and v is not None}
        if "use_linear_silu" in raw:
            kw["linear_silu"] = bool(raw["use_linear_silu"])
        if raw.get("rotary_dim"):
            kw["partial_rotary_factor"] = raw["rotary_dim"] / raw["head_dim"]
        c = Config(**{**dict(layer_group_size=1, norm_head=False, partial_rotary_factor=1.0), **kw})
        if not raw.get("head_dim"):
            c.head_dim = c.hidden_size // c.num_attention_heads
        return c

    # -- derived ---------------------------------------------------------------------------------------------
    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.partial_rotary_factor)

    def is_linear(self, i: int) -> bool:
        g = self.layer_group_size
        if g <= 1:
            return False
        return (i + 1) % g != 0 and i < self.num_hidden_layers // g * g

    def is_moe(self, i: int) -> bool:
        return i >= self.first_k_dense_replace

    def tensor_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Every tensor of the checkpoint, by Hugging Face name, with its [out, in] shape."""
        H, D = self.hidden_size, self.head_dim
        nh, nkv = self.num_attention_heads, self.num_key_value_heads
        s: Dict[str, Tuple[int, ...]] = {"model.word_embeddings.weight": (self.vocab_size, H)}
        for i in range(self.num_hidden_layers):
            p = f"model.layers.{i}."
            s[p + "input_layernorm.weight"] = (H,)
            s[p + "post_attention_layernorm.weight"] = (H,)
            kv = nh if self.is_linear(i) else nkv
            s[p + "attention.query_key_value.weight"] = ((nh + 2 * kv) * D, H)
            s[p + "attention.dense.weight"] = (H, nh * D)
            if self.use_qk_norm:
                s[p + "attention.query_layernorm.weight"] = (D,)
                s[p + "attention.key_layernorm.weight"] = (D,)
            if self.is_linear(i):
                s[p + "attention.g_proj.weight"] = (nh * D, H)
                s[p + "attention.g_norm.weight"] = (nh * D,)
            if self.is_moe(i):
                I = self.moe_intermediate_size
                s[p + "mlp.gate.weight"] = (self.num_experts, H)
                if self.moe_router_enable_expert_bias:
                    s[p + "mlp.gate.expert_bias"] = (self.num_experts,)
                for e in range(self.num_experts):
                    q = p + f"mlp.experts.{e}."
                    s[q + "gate_proj.weight"] = (I, H)
                    s[q + "up_proj.weight"] = (I, H)
                    s[q + "down_proj.weight"] = (H, I)
                if self.num_shared_experts:
                    q, J = p + "mlp.shared_experts.", I * self.num_shared_experts
                    s[q + "gate_proj.weight"] = (J, H)
                    s[q + "up_proj.weight"] = (J, H)
                    s[q + "down_proj.weight"] = (H, J)
            else:
                q, J = p + "mlp.", self.intermediate_size
                s[q + "gate_proj.weight"] = (J, H)
                s[q + "up_proj.weight"] = (J, H)
                s[q + "down_proj.weight"] = (H, J)
        s["model.norm.weight"] = (H,)
        if not self.tie_word_embeddings:
            s["lm_head.weight"] = (self.vocab_size, H)
        return s

    def count(self) -> Dict[str, float]:
        """Total, active (per token) and active-without-embeddings parameters."""
        tot = act = emb = 0
        for n, sh in self.tensor_shapes().items():
            m = math.prod(sh)
            tot += m
            if ".mlp.experts." in n:
                act += m * self.num_experts_per_tok / self.num_experts
            else:
                act += m
            if n in ("model.word_embeddings.weight", "lm_head.weight"):
                emb += m
        return dict(total=tot, active=act, active_non_embedding=act - emb)

    def state_bytes(self) -> Dict[str, int]:
        nlin = sum(self.is_linear(i) for i in range(self.num_hidden_layers))
        nsm = self.num_hidden_layers - nlin
        return dict(linear_state_fp32=nlin * self.num_attention_heads * self.head_dim ** 2 * 4,
                    softmax_kv_bf16_per_token=nsm * 2 * self.num_key_value_heads * self.head_dim * 2,
                    linear_kv_log_bf16_per_token=nlin * 2 * self.num_attention_heads * self.head_dim * 2)


# --------------------------------------------------------------------------------------------------------------
# elementary pieces
# --------------------------------------------------------------------------------------------------------------
def rms_norm(x: Tensor, w: Tensor, eps: float) -> Tensor:
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w.float()


def group_rms_norm(x: Tensor, w: Tensor, groups: int, eps: float) -> Tensor:
    """x [..., C]; `groups` equal contiguous groups of C/groups channels, one rms each; per-channel weight [C]."""
    sh = x.shape
    y = x.float().reshape(*sh[:-1], groups, sh[-1] // groups)
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)
    return y.reshape(sh) * w.float()


def alibi_slopes(n: int) -> List[float]:
    def pow2(m):
        start = 2.0 ** (-(2.0 ** -(math.log2(m) - 3)))
        return [start * start ** i for i in range(m)]
    if math.log2(n).is_integer():
        return pow2(n)
    c = 2 ** math.floor(math.log2(n))
    return pow2(c) + alibi_slopes(2 * c)[0::2][: n - c]


def layer_slopes(cfg: Config, layer: int) -> Tensor:
    """Positive decay rates s_h (per token, natural log units): lambda_h = exp(-s_h)."""
    L = cfg.num_hidden_layers
    factor = 1 + 1e-5 if L <= 1 else 1 - (layer - cfg.slope_layer_shift) / (L - 1) + 1e-5
    return torch.tensor(alibi_slopes(cfg.num_attention_heads), dtype=torch.float32) * factor


def rope_inv_freq(cfg: Config) -> Tuple[Tensor, float]:
    """(inv_freq [rotary_dim/2], attention scaling). YaRN as in Hugging Face `rope_type: yarn`."""
    d, base = cfg.rotary_dim, cfg.rope_theta
    pos = base ** (torch.arange(0, d, 2, dtype=torch.float32) / d)
    sc = cfg.rope_scaling
    if not sc:
        return 1.0 / pos, 1.0
    kind = sc.get("rope_type", sc.get("type"))
    assert kind == "yarn", kind
    f = float(sc["factor"])
    orig = sc.get("original_max_position_embeddings") or cfg.max_position_embeddings
    lo_b, hi_b = sc.get("beta_fast") or 32.0, sc.get("beta_slow") or 1.0
    dim = lambda rot: d * math.log(orig / (rot * 2 * math.pi)) / (2 * math.log(base))
    lo, hi = max(math.floor(dim(lo_b)), 0), min(math.ceil(dim(hi_b)), d - 1)
    ramp = ((torch.arange(d // 2, dtype=torch.float32) - lo) / max(hi - lo, 1e-3)).clamp(0, 1)
    keep = 1 - ramp
    inv = (1 / (f * pos)) * (1 - keep) + (1 / pos) * keep
    att = sc.get("attention_factor")
    if att is None:
        att = 0.1 * math.log(f) + 1.0 if f > 1 else 1.0
    return inv, float(att)


def rope(x: Tensor, pos: Tensor, cfg: Config) -> Tensor:
    """x [B,T,heads,D]; pos [T]; NeoX (split halves) rotation of the FIRST rotary_dim channels."""
    inv, att = rope_inv_freq(cfg)
    ang = pos.float()[:, None] * inv[None, :]                       # [T, d/2]
    c, s = ang.cos() * att, ang.sin() * att
    c, s = c[None, :, None, :], s[None, :, None, :]
    d = cfg.rotary_dim
    a, b, rest = x[..., : d // 2], x[..., d // 2: d], x[..., d:]
    return torch.cat((a * c - b * s, b * c + a * s, rest), dim=-1)


# --------------------------------------------------------------------------------------------------------------
# lightning attention core.  q,k,v [B,T,H,D]; slope [H]; state S [B,H,Dk,Dv] (S = sum k v^T); o [B,T,H,D]
# --------------------------------------------------------------------------------------------------------------
def la_recurrent(q, k, v, slope, scale, state=None) -> Tuple[Tensor, Tensor]:
    B, T, H, D = q.shape
    S = q.new_zeros(B, H, D, v.shape[-1]) if state is None else state.clone()
    lam = torch.exp(-slope)[None, :, None, None]
    out = torch.empty_like(v)
    for t in range(T):
        S = S * lam + k[:, t, :, :, None] * v[:, t, :, None, :]
        out[:, t] = torch.einsum("bhk,bhkv->bhv", q[:, t] * scale, S)
    return out, S


def la_chunked(q, k, v, slope, scale, state=None, chunk: int = 64) -> Tuple[Tensor, Tensor]:
    B, T, H, D = q.shape
    S = q.new_zeros(B, H, D, v.shape[-1]) if state is None else state.clone()
    out = torch.empty_like(v)
    s = slope[None, :, None]
    for a in range(0, T, chunk):
        n = min(chunk, T - a)
        qc, kc, vc = (t[:, a:a + n].transpose(1, 2) for t in (q, k, v))      # [B,H,n,D]
        i = torch.arange(n, dtype=torch.float32)
        dij = i[:, None] - i[None, :]
        mask = torch.where(dij >= 0, torch.exp(-slope[:, None, None] * dij.clamp(min=0)), torch.zeros(()))
        att = torch.einsum("bhik,bhjk->bhij", qc * scale, kc) * mask[None]
        o = att @ vc
        o = o + (qc * scale * torch.exp(-s[..., None] * (i + 1)[None, None, :, None])) @ S
        kd = kc * torch.exp(-s[..., None] * (n - 1 - i)[None, None, :, None])
        S = S * torch.exp(-slope * n)[None, :, None, None] + kd.transpose(-1, -2) @ vc
        out[:, a:a + n] = o.transpose(1, 2)
    return out, S


def la_state_from_log(S0, k, v, slope) -> Tensor:
    """State after appending k,v [B,n,H,D] to a checkpointed S0 - no hidden states, no model evaluation needed."""
    n = k.shape[1]
    w = torch.exp(-slope[None, :] * torch.arange(n - 1, -1, -1, dtype=torch.float32)[:, None])     # [n,H]
    add = torch.einsum("bnhk,bnhv->bhkv", k * w[None, :, :, None], v)
    return S0 * torch.exp(-slope * n)[None, :, None, None] + add


def la_rollback(S, k, v, slope) -> Tensor:
    """Inverse update: remove the last n tokens. Exact in exact arithmetic; error grows like exp(+s_h n)."""
    n = k.shape[1]
    zero = torch.zeros_like(S)
    return (S - la_state_from_log(zero, k, v, slope)) * torch.exp(slope * n)[None, :, None, None]


# --------------------------------------------------------------------------------------------------------------
# router
# --------------------------------------------------------------------------------------------------------------
def route(logits: Tensor, bias: Optional[Tensor], cfg: Config) -> Tuple[Tensor, Tensor]:
    """logits [N,E] float32 -> (idx [N,K], weight [N,K]).  Bias only selects; weights come from the raw scores."""
    N, E = logits.shape
    K = cfg.num_experts_per_tok
    if cfg.score_function == "softmax":
        scores = logits.softmax(-1)
    else:
        scores = torch.sigmoid(logits)
    sel = scores if bias is None else scores + bias
    if cfg.n_group and cfg.n_group > 1:
        g = sel.view(N, cfg.n_group, E // cfg.n_group)
        gscore = g.topk(2, dim=-1).values.sum(-1)                         # sum of the two best (biased) scores
        keep = torch.zeros_like(gscore).scatter_(1, gscore.topk(cfg.topk_group, dim=-1).indices, 1.0)
        sel = g.masked_fill(keep[..., None] == 0, float("-inf")).reshape(N, E)
    idx = sel.topk(K, dim=-1).indices
    w = scores.gather(1, idx)
    if K > 1 and cfg.norm_topk_prob:
        w = w / (w.sum(-1, keepdim=True) + 1e-20)
    return idx, w * cfg.routed_scaling_factor


# --------------------------------------------------------------------------------------------------------------
# cache
# --------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class LayerState:
    k: Optional[Tensor] = None       # softmax: keys  [B,n,kv,D] (after qk-norm and RoPE)
    v: Optional[Tensor] = None
    S: Optional[Tensor] = None       # linear: recurrent state [B,H,D,D] fp32
    log_k: Optional[Tensor] = None   # linear: rotated keys since the checkpoint (only when cache.keep_log)
    log_v: Optional[Tensor] = None
    S0: Optional[Tensor] = None      # linear: state at cache.ckpt_pos


class Cache:
    """Holds the position, the softmax KV and the linear states; can go back to any p >= ckpt_pos exactly."""

    def __init__(self, cfg: Config, keep_log: bool = False):
        self.cfg, self.pos, self.keep_log, self.ckpt_pos = cfg, 0, keep_log, 0
        self.layers = [LayerState() for _ in range(cfg.num_hidden_layers)]

    def checkpoint(self):
        """Drop the log; the current position becomes the oldest one that `truncate` can return to."""
        self.ckpt_pos = self.pos
        for st in self.layers:
            if st.S is not None:
                st.S0, st.log_k, st.log_v = st.S.clone(), None, None

    def snapshot(self):
        c = Cache(self.cfg, self.keep_log)
        c.pos, c.ckpt_pos = self.pos, self.ckpt_pos
        c.layers = [LayerState(**{f.name: (None if getattr(s, f.name) is None else getattr(s, f.name).clone())
                                  for f in dataclasses.fields(LayerState)}) for s in self.layers]
        return c

    def truncate(self, p: int):
        """Return to position p (ckpt_pos <= p <= pos) with NO model evaluation: softmax KV is cut, linear states are
        rebuilt from the checkpoint and the k/v log (one small GEMM per linear layer)."""
        assert self.keep_log and self.ckpt_pos <= p <= self.pos
        m = p - self.ckpt_pos
        for i, st in enumerate(self.layers):
            if st.k is not None:
                st.k, st.v = st.k[:, :p], st.v[:, :p]
            if st.S is not None:
                sl = layer_slopes(self.cfg, i)
                S0 = st.S0 if st.S0 is not None else torch.zeros_like(st.S)
                if m == 0:
                    st.S = S0.clone()
                    st.log_k = st.log_v = None
                else:
                    st.log_k, st.log_v = st.log_k[:, :m], st.log_v[:, :m]
                    st.S = la_state_from_log(S0, st.log_k, st.log_v, sl)
        self.pos = p


# --------------------------------------------------------------------------------------------------------------
# model
# --------------------------------------------------------------------------------------------------------------
class Model:
    def __init__(self, cfg: Config, weights: Dict[str, Tensor]):
        self.cfg, self.w = cfg, weights

    # -- construction ----------------------------------------------------------------------------------------
    @staticmethod
    def random(cfg: Config, seed: int = 0, std: float = 0.2) -> "Model":
        g = torch.Generator().manual_seed(seed)
        w = {}
        for n, sh in cfg.tensor_shapes().items():
            if n.endswith("norm.weight") or "layernorm" in n:
                w[n] = 1 + 0.2 * torch.randn(sh, generator=g)
            elif n.endswith("expert_bias"):
                w[n] = 0.1 * torch.randn(sh, generator=g)
            else:
                w[n] = std * torch.randn(sh, generator=g)
        return Model(cfg, w)

    @staticmethod
    def from_pretrained(path: str) -> "Model":
        from safetensors import safe_open
        cfg = Config.from_json(os.path.join(path, "config.json"))
        idx = os.path.join(path, "model.safetensors.index.json")
        files = sorted(set(json.load(open(idx))["weight_map"].values())) if os.path.exists(idx) else ["model.safetensors"]
        w = {}
        for f in files:
            with safe_open(os.path.join(path, f), "pt") as h:
                for n in h.keys():
                    w[n] = h.get_tensor(n).float()
        missing = set(cfg.tensor_shapes()) - set(w)
        assert not missing, sorted(missing)[:8]
        return Model(cfg, w)

    # -- layers ----------------------------------------------------------------------------------------------
    def _qkv(self, x: Tensor, p: str, kv: int, pos: Tensor, silu: bool, do_rope: bool):
        c = self.cfg
        B, T, _ = x.shape
        qkv = x @ self.w[p + "query_key_value.weight"].T
        if p + "query_key_value.bias" in self.w:
            qkv = qkv + self.w[p + "query_key_value.bias"]
        if silu:
            qkv = F.silu(qkv)
        qkv = qkv.view(B, T, c.num_attention_heads + 2 * kv, c.head_dim)      # rows: all q heads | all k | all v
        q, k, v = qkv.split([c.num_attention_heads, kv, kv], dim=2)
        if c.use_qk_norm:
            q = rms_norm(q, self.w[p + "query_layernorm.weight"], c.rms_norm_eps)
            k = rms_norm(k, self.w[p + "key_layernorm.weight"], c.rms_norm_eps)
        if do_rope:
            q, k = rope(q, pos, c), rope(k, pos, c)
        return q, k, v

    def linear_attention(self, x, i, pos, cache: Cache, mode: str, chunk: int, tr):
        c, p, st = self.cfg, f"model.layers.{i}.attention.", cache.layers[i]
        q, k, v = self._qkv(x, p, c.num_attention_heads, pos, c.linear_silu, c.linear_rope)
        f = la_recurrent if mode == "recurrent" else la_chunked
        kw = {} if mode == "recurrent" else {"chunk": chunk}
        if cache.keep_log:
            if st.S0 is None:
                st.S0 = torch.zeros(x.shape[0], c.num_attention_heads, c.head_dim, c.head_dim) if st.S is None else st.S.clone()
            st.log_k = k if st.log_k is None else torch.cat((st.log_k, k), 1)
            st.log_v = v if st.log_v is None else torch.cat((st.log_v, v), 1)
        o, st.S = f(q, k, v, layer_slopes(c, i), c.head_dim ** -0.5, st.S, **kw)
        o = o.reshape(*x.shape[:2], -1)
        g = x @ self.w[p + "g_proj.weight"].T                                  # gate reads the same normed input x
        y = group_rms_norm(o, self.w[p + "g_norm.weight"], c.group_norm_size, c.rms_norm_eps) * torch.sigmoid(g)
        if tr is not None:
            tr.update({f"l{i}.q": q, f"l{i}.k": k, f"l{i}.v": v, f"l{i}.la_out": o, f"l{i}.state": st.S, f"l{i}.gated": y})
        return y @ self.w[p + "dense.weight"].T

    def softmax_attention(self, x, i, pos, cache: Cache, tr):
        c, p, st = self.cfg, f"model.layers.{i}.attention.", cache.layers[i]
        q, k, v = self._qkv(x, p, c.num_key_value_heads, pos, False, True)
        st.k = k if st.k is None else torch.cat((st.k, k), 1)
        st.v = v if st.v is None else torch.cat((st.v, v), 1)
        rep = c.num_attention_heads // c.num_key_value_heads
        K = st.k.repeat_interleave(rep, dim=2)
        V = st.v.repeat_interleave(rep, dim=2)
        att = torch.einsum("bihd,bjhd->bhij", q, K) * c.head_dim ** -0.5
        n, m = q.shape[1], K.shape[1]
        causal = torch.arange(m)[None, :] > (m - n + torch.arange(n))[:, None]
        att = att.masked_fill(causal[None, None], float("-inf")).softmax(-1)
        o = torch.einsum("bhij,bjhd->bihd", att, V).reshape(*x.shape[:2], -1)
        if tr is not None:
            tr.update({f"l{i}.q": q, f"l{i}.k": k, f"l{i}.v": v, f"l{i}.attn_out": o})
        return o @ self.w[p + "dense.weight"].T

    def _swiglu(self, x, p):
        w = self.w
        return (F.silu(x @ w[p + "gate_proj.weight"].T) * (x @ w[p + "up_proj.weight"].T)) @ w[p + "down_proj.weight"].T

    def mlp(self, x, i, tr):
        c, p = self.cfg, f"model.layers.{i}.mlp."
        if not c.is_moe(i):
            return self._swiglu(x, p)
        flat = x.reshape(-1, x.shape[-1])
        logits = flat.float() @ self.w[p + "gate.weight"].float().T
        idx, wt = route(logits, self.w.get(p + "gate.expert_bias"), c)
        y = torch.zeros_like(flat)
        for e in idx.unique().tolist():
            rows, slot = (idx == e).nonzero(as_tuple=True)
            y.index_add_(0, rows, self._swiglu(flat[rows], p + f"experts.{e}.") * wt[rows, slot, None])
        if c.num_shared_experts:
            y = y + self._swiglu(flat, p + "shared_experts.")
        if tr is not None:
            tr.update({f"l{i}.router_logits": logits, f"l{i}.topk_idx": idx, f"l{i}.topk_weight": wt, f"l{i}.moe_out": y})
        return y.view_as(x)

    def forward(self, ids: Tensor, cache: Optional[Cache] = None, mode: str = "chunked", chunk: int = 64,
                trace: Optional[dict] = None) -> Tensor:
        """ids [B,T] -> logits [B,T,V]. Pass the same Cache again to continue a sequence."""
        c = self.cfg
        cache = cache or Cache(c)
        pos = torch.arange(cache.pos, cache.pos + ids.shape[1])
        h = self.w["model.word_embeddings.weight"][ids].float()
        for i in range(c.num_hidden_layers):
            p = f"model.layers.{i}."
            x = rms_norm(h, self.w[p + "input_layernorm.weight"], c.rms_norm_eps)
            a = self.linear_attention(x, i, pos, cache, mode, chunk, trace) if c.is_linear(i) \
                else self.softmax_attention(x, i, pos, cache, trace)
            h = h + a
            x = rms_norm(h, self.w[p + "post_attention_layernorm.weight"], c.rms_norm_eps)
            h = h + self.mlp(x, i, trace)
            if trace is not None:
                trace[f"l{i}.out"] = h
        cache.pos += ids.shape[1]
        h = rms_norm(h, self.w["model.norm.weight"], c.rms_norm_eps)
        head = self.w["model.word_embeddings.weight" if c.tie_word_embeddings else "lm_head.weight"].float()
        if c.norm_head:
            head = head / (head.norm(dim=-1, keepdim=True) + 1e-7)
        return h @ head.T


# --------------------------------------------------------------------------------------------------------------
# tests
# --------------------------------------------------------------------------------------------------------------
def _err(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / (b.abs().max() + 1e-12))


def _check(name: str, e: float, tol: float):
    print(f"  {'ok ' if e <= tol else 'FAIL'} {name:<74s} {e:.2e} (tol {tol:.0e})")
    assert e <= tol, name


def self_test():
    torch.manual_seed(0)
    print("parameter counts (published: mini 16.4B / 1.6B / 957M;  flash 104.2B / 7.4B / 6.1B;  coder-lite 16.8B / 2.75B;  Ling-mini 16.26B / 1.43B / 789M)")
    for n in ("ring_mini_linear", "ring_flash_linear", "ling_mini_2", "ling_coder_lite"):
        c = getattr(Config, n)()
        r = c.count()
        print(f"  {n:20s} total {r['total']/1e9:8.3f}B  active {r['active']/1e9:6.3f}B  active w/o embeddings {r['active_non_embedding']/1e9:6.3f}B "
              f" softmax layers {[i for i in range(c.num_hidden_layers) if not c.is_linear(i)][:8]}  {c.state_bytes()}")

    print("lightning attention core (float32)")
    B, T, H, D = 2, 150, 4, 16
    q, k, v = (torch.randn(B, T, H, D) for _ in range(3))
    sl = torch.tensor(alibi_slopes(H)) * 0.7
    o1, s1 = la_recurrent(q, k, v, sl, D ** -0.5)
    t = torch.arange(T, dtype=torch.float32)
    dm = torch.where(t[:, None] >= t[None], torch.exp(-sl[:, None, None].double() * (t[:, None] - t[None]).clamp(min=0).double()), torch.zeros((), dtype=torch.double))
    o0 = torch.einsum("bhij,bjhd->bihd", torch.einsum("bihd,bjhd->bhij", q.double(), k.double()) * D ** -0.5 * dm[None], v.double()).float()
    _check("recurrent vs explicit float64 masked matrix", _err(o1, o0), 2e-6)
    for ch in (1, 7, 32, 64, 128, 256):
        o2, s2 = la_chunked(q, k, v, sl, D ** -0.5, chunk=ch)
        _check(f"chunked({ch}) vs recurrent: output", _err(o2, o1), 3e-6)
        _check(f"chunked({ch}) vs recurrent: state", _err(s2, s1), 3e-6)
    _, sa = la_chunked(q[:, :91], k[:, :91], v[:, :91], sl, D ** -0.5)
    ob, sb = la_chunked(q[:, 91:], k[:, 91:], v[:, 91:], sl, D ** -0.5, state=sa, chunk=32)
    _check("resume from a state at an unaligned position", max(_err(ob, o1[:, 91:]), _err(sb, s1)), 3e-6)
    _check("state rebuilt from checkpoint + k/v log", _err(la_state_from_log(sa, k[:, 91:], v[:, 91:], sl), s1), 3e-6)
    for n in (1, 4, 8, 16):
        r = la_rollback(s1, k[:, -n:], v[:, -n:], sl)
        _, ref = la_recurrent(q[:, :T - n], k[:, :T - n], v[:, :T - n], sl, D ** -0.5)
        print(f"      inverse-update rollback of {n:2d} tokens: max rel error per head {[f'{_err(r[:, h], ref[:, h]):.1e}' for h in range(H)]}")

    print("whole model (tiny, random weights)")
    for kw, nm in ((dict(), "linear V2"), (dict(linear_silu=True, slope_layer_shift=1), "linear V2, silu, shift 1"),
                   (dict(num_hidden_layers=7), "linear V2, incomplete last group"),
                   (dict(layer_group_size=1), "V2 (all softmax)"),
                   (dict(layer_group_size=1, score_function="softmax", n_group=0, topk_group=0, use_qk_norm=False,
                         moe_router_enable_expert_bias=False, first_k_dense_replace=0, partial_rotary_factor=1.0,
                         norm_head=True, num_shared_experts=2, routed_scaling_factor=1.0), "v1"),
                   (dict(rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=128)), "linear V2 + yarn")):
        cfg = Config.tiny(**kw)
        m = Model.random(cfg)
        ids = torch.randint(0, cfg.vocab_size, (2, 77))
        full = m.forward(ids, mode="recurrent")
        _check(f"{nm}: chunked prefill == recurrent prefill", _err(m.forward(ids, chunk=16), full), 2e-5)
        cache = Cache(cfg)
        outs = [m.forward(ids[:, :50], cache, chunk=16)] + [m.forward(ids[:, j:j + 1], cache) for j in range(50, 77)]
        _check(f"{nm}: prefill 50 + 27 single-token decodes", _err(torch.cat(outs, 1), full), 2e-5)

    print("state reuse between keystrokes (edit at the end of the prefix)")
    cfg = Config.tiny()
    m = Model.random(cfg)
    a = torch.randint(0, cfg.vocab_size, (1, 60))
    cache = Cache(cfg, keep_log=True)
    m.forward(a[:, :40], cache)
    cache.checkpoint()                                   # e.g. end of the last complete line
    m.forward(a[:, 40:], cache)                          # first request
    b = torch.cat((a[:, :53], torch.randint(0, cfg.vocab_size, (1, 9))), 1)      # user changed the last tokens
    cache.truncate(53)
    lg = m.forward(b[:, 53:], cache)
    _check("truncate(53) + 9 new tokens == full evaluation of the edited prompt", _err(lg, m.forward(b)[:, 53:]), 2e-5)


if __name__ == "__main__":
    torch.set_num_threads(1)
    self_test()
    print("all passed")
