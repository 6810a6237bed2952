"""What is written is what was trained against: a folder read back is the fake-quantized model."""

import json
import pathlib
import tempfile
import unittest

import torch
from support import TINY, tiny

# isort: split
from export import export, pack_int4
from folder import read, unpack_int4
from model import Ringside, matrices_of
from quantize import fake_quantize, quantized, rounded_inputs
from train import apply_plan


def trained() -> tuple[Ringside, dict[str, str]]:
    """A model with random weights and a plan in which every third matrix is f8."""
    torch.manual_seed(0)
    model = Ringside(tiny())
    for mixture in model.mixtures():
        torch.nn.init.normal_(mixture.gate.syntax)
        torch.nn.init.normal_(mixture.gate.expert_bias, std=0.1)
    names = [name for name in matrices_of(model) if "experts.gate_up" not in name]
    formats = {name: ("f8" if i % 3 == 0 else "int4") for i, name in enumerate(names)}
    return model, formats | {n: "int4" for n in matrices_of(model) if ".mlp.experts." in n}


class Export(unittest.TestCase):
    def test_packing_is_undone(self):
        values = torch.randint(-8, 8, (7, 64), dtype=torch.int8)
        packed = pack_int4(values)
        self.assertEqual(int(packed[0, 0]) & 15, int(values[0, 0]) + 8)
        self.assertTrue(torch.equal(unpack_int4(packed), values))

    def test_folder_read_back_is_the_fake_quantized_model(self):
        model, formats = trained()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            state = {"model": model.state_dict(), "formats": formats}
            torch.save(state, folder / "checkpoint.pt")
            before = {"before": {"minutes": 82, "tokens": 16_000_000}}
            (folder / "counts.json").write_text(json.dumps(before))
            lines = ['{"seconds": 300}', '{"seconds": 630, "tokensPerSecond": 2000}']
            (folder / "log.jsonl").write_text("\n".join(lines))
            (folder / "t.json").write_text(
                json.dumps({"model": {"vocab": {str(i): i for i in range(320)}}})
            )
            export(folder / "checkpoint.pt", tiny(), folder / "t.json", folder / "out")
            back = read(folder / "out")
            config = json.loads((folder / "out" / "config.json").read_text())
        apply_plan(model, formats)
        for key, value in TINY.items():
            self.assertEqual(config[key], value)
        self.assertEqual(config["trained"], {"minutes": 92, "tokens": 17_260_000})
        for (name, (a, attribute)), (b, _) in zip(
            matrices_of(model).items(), matrices_of(back).values(), strict=True
        ):
            expected = fake_quantize(getattr(a, attribute), a.quantized)
            # x + (q - x) rounds once more than q itself
            self.assertLess((expected - getattr(b, attribute)).abs().max(), 1e-6, name)
            self.assertEqual(b.inputs, a.quantized)
        self.assertLess((model.embedding() - back.model.word_embeddings.weight).abs().max(), 1e-6)
        for a, b in zip(model.mixtures(), back.mixtures(), strict=True):
            self.assertTrue(torch.equal(a.gate.syntax, b.gate.syntax))
            self.assertTrue(torch.equal(a.gate.expert_bias, b.gate.expert_bias))

    def test_quantization_errs_by_half_a_step(self):
        weight = torch.randn(16, 64)
        step = weight.unflatten(-1, (-1, 32)).abs().amax(-1, keepdim=True) / 7
        wrong = (quantized(weight, "int4") - weight).unflatten(-1, (-1, 32)).abs()
        # 0.86 of the largest value's step leaves up to one step at the largest value
        self.assertLess(float((wrong / step).max()), 1.0)
        self.assertLess(
            float((quantized(weight, "f8") - weight).abs().max() / weight.abs().max()), 1 / 16
        )

    def test_inputs_round_as_the_contract_says(self):
        x = torch.randn(3, 64)
        scale = x.unflatten(-1, (-1, 32)).abs().amax(-1, keepdim=True) / 127
        whole = rounded_inputs(x, "int4").unflatten(-1, (-1, 32)) / scale
        self.assertLess((whole - whole.round()).abs().max(), 1e-4)
        self.assertTrue(torch.equal(rounded_inputs(x, "f8"), x.bfloat16().float()))
        self.assertTrue(torch.equal(rounded_inputs(torch.zeros(1, 32), "int4"), torch.zeros(1, 32)))


if __name__ == "__main__":
    unittest.main()
