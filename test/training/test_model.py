"""The fast forms of the model's attentions and experts against slow ones that are plainly right."""

import unittest

import torch
import torch.nn.functional as F
from support import tiny

# isort: split
from model import Experts, Ringside, alibi_slopes, lightning, ring_attention


def attended(p: int, window: int, far: int, sinks: int) -> set[int]:
    """The positions that position p sees, as the contract writes them."""
    near = set(range(p - window + 1, p + 1))
    hops = {p - 2**j for j in range(32) if window <= 2**j <= far}
    return {q for q in near | hops | set(range(sinks)) if 0 <= q <= p}


def dense_ring(q, k, v, config):
    length = q.shape[2]
    seen = torch.zeros(length, length, dtype=torch.bool)
    for p in range(length):
        for other in attended(p, config.ring_window, config.ring_max_hop, config.ring_sinks):
            seen[p, other] = True
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def recurrent_lightning(q, k, v, slopes):
    batch, length, heads, dim = q.shape
    state = torch.zeros(batch, heads, dim, dim, dtype=q.dtype)
    keep = torch.exp(-slopes)[:, None, None]
    outs = []
    for t in range(length):
        state = keep * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outs.append(torch.einsum("bhx,bhxy->bhy", q[:, t], state))
    return torch.stack(outs, 1)


class Model(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)

    def test_ring_attention_in_blocks_is_the_dense_mask(self):
        for changes in ({}, {"ring_sinks": 0}, {"ring_max_hop": 16}, {"ring_max_hop": 8}):
            config = tiny(**changes)
            q, k, v = (torch.randn(2, 4, 160, 16) for _ in range(3))
            fast, slow = ring_attention(q, k, v, config), dense_ring(q, k, v, config)
            self.assertLess((fast - slow).abs().max(), 2e-6)

    def test_chunked_lightning_is_the_recurrence(self):
        slopes = torch.tensor(alibi_slopes(4), dtype=torch.float64)
        for length in (1, 127, 128, 300):
            q, k, v = (torch.randn(2, length, 4, 16, dtype=torch.float64) for _ in range(3))
            fast, slow = lightning(q, k, v, slopes), recurrent_lightning(q, k, v, slopes)
            self.assertLess((fast - slow).abs().max() / slow.abs().max(), 1e-6)  # float32 decays

    def test_grouped_experts_are_the_experts_one_by_one(self):
        config = tiny()
        experts = Experts(config)
        x = torch.randn(50, config.hidden_size)
        chosen = torch.stack([torch.randperm(config.num_experts)[:2] for _ in range(50)])
        weights = torch.rand(50, 2)
        y, load = experts(x, chosen, weights)
        for t in range(50):
            expected = torch.zeros(config.hidden_size)
            for e, w in zip(chosen[t], weights[t], strict=True):
                gate, up = (experts.gate_up[e] @ x[t]).chunk(2)
                expected = expected + w * (experts.down[e] @ (F.silu(gate) * up))
            self.assertLess((y[t] - expected).abs().max(), 1e-5)
        self.assertEqual(load.tolist(), torch.bincount(chosen.flatten(), minlength=5).tolist())

    def test_a_token_changes_nothing_before_it(self):
        model = Ringside(tiny()).eval()
        for mixture in model.mixtures():
            torch.nn.init.normal_(mixture.gate.syntax)
        tokens = torch.randint(0, 320, (1, 90))
        features = torch.tensor([[0.0, 0, 0], [1, 0, 1]])
        set_of = torch.zeros_like(tokens)
        with torch.no_grad():
            before = model(tokens, features, set_of)
            tokens[0, 60], set_of[0, 60:] = (tokens[0, 60] + 1) % 320, 1
            after = model(tokens, features, set_of)
        self.assertTrue(torch.allclose(before[:, :60], after[:, :60], atol=1e-5))
        self.assertFalse(torch.allclose(before[:, 60:], after[:, 60:], atol=1e-2))


if __name__ == "__main__":
    unittest.main()
