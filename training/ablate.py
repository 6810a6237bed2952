"""What the syntax gate and ring attention are worth: a small model trained with each changed.

Every run has the seed, the data and the number of steps of the first; the loss is on held-out rows.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
from evaluate import difference, of_middles, score_rows
from folder import read_checkpoint
from model import Config

# Narrower than the shipped model, so that three runs fit where one did; as deep, the same data.
NARROW = {"hidden_size": 128, "intermediate_size": 384, "moe_intermediate_size": 32, "head_dim": 32}
VARIANTS = {
    "base": ({}, []),
    "withoutSyntaxGate": ({}, ["--no-gate"]),
    "fullAttention": ({"ring_window": 0}, []),
}


def run(name: str, arguments: argparse.Namespace) -> dict[str, np.ndarray]:
    """Trains one variant, unless it has been, and scores it."""
    changes, flags = VARIANTS[name]
    changes = {**NARROW, **changes}
    out = arguments.out / name
    shards = [str(file) for file in arguments.data]
    subprocess.run(
        [
            *(sys.executable, str(pathlib.Path(__file__).with_name("train.py"))),
            *("--config", str(arguments.config), "--data", *shards, "--out", str(out)),
            *("--steps", str(arguments.steps), "--batch", "1", "--unquantized"),
            *("--changes", json.dumps(changes), *flags),
        ],
        check=True,
    )
    model = read_checkpoint(out / "checkpoint.pt", Config.load(arguments.config, **changes))
    shard = dict(np.load(arguments.heldout))
    return score_rows(
        model, shard, min(arguments.rows, len(shard["tokens"])), "--no-gate" not in flags
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--heldout", type=pathlib.Path, required=True, help="a shard")
    parser.add_argument("--rows", type=int, default=400, help="of the held-out shard")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    chosen = parser.parse_args()
    scored = {name: run(name, chosen) for name in VARIANTS}
    report: dict = {"steps": chosen.steps, "variants": {}}
    for variant, scores in scored.items():
        report["variants"][variant] = {
            "middles": of_middles(scores),
            "textNatsPerToken": float(scores["text"].mean()),
            "worseThanBase": difference(scored["base"], scores),
        }
        print(variant, json.dumps(report["variants"][variant]))
    (chosen.out / "ablations.json").write_text(json.dumps(report, indent=1))
