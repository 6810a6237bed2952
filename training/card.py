"""Writes a model folder's README.md and LICENSE: how the model was made, and what was measured.

Every number comes from a file that a step of the recipe wrote; none is typed in.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import shutil

ROW = 2048  # tokens, as pack.py makes them

HEAD = """\
# {name}

The code completion model that ships with Ringside: {parameters:.1f} million parameters, of
which a token runs {active:.1f} million, in {size:.1f} MB of weights. It fills in the middle of
a file, given what is before and behind the cursor.

It is small and was trained for {minutes:.0f} minutes on a CPU, on {tokens:.1f} million tokens,
which is very little: expect the rest of a line more than the rest of a function. Its
completions are guesses to be read before they are accepted.

## Architecture

`RingsideForCausalLM`: {layers} layers, {ring} of them with ring attention (a window of {window}
tokens, hops to {hop}, {sinks} sinks), the others with lightning attention. The first
feed-forward is dense, the others have {experts} experts of which a token takes {top}, and one
shared expert: {share:.1%} of the experts' parameters run. The router's logits take the cursor's
syntax features for the tokens of the middle. Most matrices are int4 in groups of 32, the
embedding and the most sensitive matrices FP8, in the compressed-tensors layout; training saw
the quantized weights in its last fifth.
"""

DATA = """
## Training data

{packages} packages under permissive licences, each read from the package's own metadata; the
list with versions is training/manifest.json. Tests, vendored, generated and minified files are
left out, so are exact and near copies, and {contaminated} files that came near a HumanEval
problem. Test: of the 164 problems' solutions, planted in a file with every name changed, 147
are found; the other 17 are too short to be told from ordinary code.

{licences}

{languages}

The training read {tokens:.1f} million tokens. One sampling of the text holds {sampled:.1f}
million, and a model that is trained further may be given another.
"""

MEASURED = """
## Measured

On {files} files ({kilobytes:.0f} kB) of {heldout} packages of which nothing was trained on.
Bits per byte, each file alone, lower is better; the model is given the file's path. `order 5`
is a model of bytes with back-off (Witten-Bell) that was trained on the whole of the training
text.

{table}

- The model is better than `xz -9e` on {better_xz} of the {files} files, and better than the
  order-5 model on {better_ngram}.
- It guesses {accuracy:.1%} of the tokens right. The same weights in float32 guess
  {float_accuracy:.1%} and need {float_bits:.3f} bits per byte: quantization keeps {kept:.2%} of
  the accuracy.
- On held-out middles: {middle_loss:.3f} nats a token, {middle_accuracy:.1%} right. With the
  syntax features withheld: {without_loss:.3f} nats, {without_accuracy:.1%} right. The features
  gain {gain:+.4f} ± {gain_error:.4f} nats a token (standard error).
"""

COPYING = """- All of this is the model alone but for the column `copying`: what followed wherever
  the text's end stood before is mixed in, as the engine does (`copy_shares`, fitted on middles of
  training text that the last run did not read). Then {accuracy:.1%} of the tokens are right; on
  held-out middles {middle_loss:.3f} nats a token, {middle_accuracy:.1%} right.
"""

ABLATIONS = """
## Ablations

A narrower model of the same depth, trained three times for {steps} steps of one row, on the same
rows with the same seed. Nats a token on held-out rows; differences to the first with their standard
errors over rows or middles, positive where the change made it worse. One seed each: they say
nothing of the spread between seeds, and {steps} steps are few.

{table}
"""

INFILLING = """
Of the {problems} lines that HumanEval-SingleLineInfilling takes out (Bavarian et al. 2022), the
model alone, greedy, writes {exact:.2%} exactly, and {without:.2%} with the syntax features
withheld. With copying it writes {copying:.2%}.
"""

LIMITS = """
## Limits

- What the syntax gate and ring attention are worth to a model trained without them is for
  training/ablate.py to say; unless there is a table above, it was not run for this version.
- Python, TypeScript and JavaScript are what it saw most; Go, Rust, C, C++ and Java less; other
  languages only by accident.
- It was trained on rows of 2,048 tokens; a context of up to {context} is accepted.
- Licences are those that packages and, for Debian's, their copyright files state. The model can
  repeat short pieces of what it was trained on.
"""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def data_section(report: dict, tokens: float, sampled: float) -> str:
    by_licence: dict[str, list] = collections.defaultdict(list)
    for package in report["packages"]:
        by_licence[package["licence"]].append(package)
    licences = [
        [name, str(len(found)), f"{sum(p['bytes'] for p in found) / 1e6:.1f}"]
        for name, found in sorted(by_licence.items(), key=lambda item: -len(item[1]))
    ]
    splits = {key: size / 1e6 for key, size in report["bytes"].items()}
    names = sorted({key.split()[1] for key in splits}, key=lambda n: -splits.get(f"train {n}", 0))
    languages = [
        [name, *(f"{splits.get(f'{split} {name}', 0):.1f}" for split in ("train", "heldout"))]
        for name in names
    ]
    return DATA.format(
        packages=len(report["packages"]),
        contaminated=len(report["nearHumanEval"]),
        licences=markdown(["Licence", "Packages", "MB"], licences),
        languages=markdown(["Language", "Training MB", "Held-out MB"], languages),
        tokens=tokens,
        sampled=sampled,
    )


def measured_section(result: dict, report: dict) -> str:
    copying = "copyingBitsPerByte" in result
    columns = {
        "ringside-small": "bitsPerByte",
        **({"copying": "copyingBitsPerByte"} if copying else {}),
        "xz -9e": "xzBitsPerByte",
        "order 5": "ngramBitsPerByte",
    }
    rows = [
        [name, *(f"{row[key]:.3f}" for key in columns.values())]
        for name, row in {**result["languages"], "**all**": result}.items()
    ]
    text = MEASURED.format(
        files=result["files"],
        kilobytes=result["bytes"] / 1e3,
        heldout=sum(package["split"] == "heldout" for package in report["packages"]),
        table=markdown(["Language", *columns], rows),
        better_xz=result["filesBetterThanXz"],
        better_ngram=result["filesBetterThanNgram"],
        accuracy=result["tokenAccuracy"],
        float_accuracy=result["unquantizedTokenAccuracy"],
        float_bits=result["unquantizedBitsPerByte"],
        kept=result["accuracyKept"],
        middle_loss=result["middles"]["natsPerToken"],
        middle_accuracy=result["middles"]["tokenAccuracy"],
        without_loss=result["middlesWithoutFeatures"]["natsPerToken"],
        without_accuracy=result["middlesWithoutFeatures"]["tokenAccuracy"],
        gain=result["featuresGain"][0],
        gain_error=result["featuresGain"][1],
    )
    if copying:
        text += COPYING.format(
            accuracy=result["copyingTokenAccuracy"],
            middle_loss=result["copyingMiddles"]["natsPerToken"],
            middle_accuracy=result["copyingMiddles"]["tokenAccuracy"],
        )
    return text


def infilling_section(runs: list[dict]) -> str:
    """What test/eval/infilling.ts said of the model alone, without the syntax gate, and with
    copying."""
    alone, without, copying = runs
    return INFILLING.format(
        problems=alone["problems"],
        exact=alone["exactMatch"],
        without=without["exactMatch"],
        copying=copying["exactMatch"],
    )


def ablations_section(report: dict) -> str:
    titles = {
        "base": "as shipped, narrower",
        "withoutSyntaxGate": "without the syntax gate",
        "fullAttention": "full attention in place of ring attention",
    }
    rows = []
    for name, row in report["variants"].items():
        text, middles = (row["worseThanBase"][key] for key in ("text", "middles"))
        shown = ["", ""]
        if name != "base":
            shown = [f"{mean:+.4f} ± {error:.4f}" for mean, error in (text, middles)]
        losses = f"{row['textNatsPerToken']:.4f}", f"{row['middles']['natsPerToken']:.4f}"
        rows.append([titles[name], losses[0], shown[0], losses[1], shown[1]])
    header = ["Variant", "All tokens", "Difference", "Middles", "Difference"]
    return ABLATIONS.format(steps=report["steps"], table=markdown(header, rows))


def card(work: pathlib.Path, run: pathlib.Path, model: pathlib.Path, note: str) -> str:
    config = json.loads((model / "config.json").read_text())
    report = json.loads((work / "corpus-report.json").read_text())
    counts = json.loads((run / "counts.json").read_text())
    layers, group = config["num_hidden_layers"], config["layer_group_size"]
    tokens = config["trained"]["tokens"] / 1e6
    head = HEAD.format(
        name=config["model_name"],
        parameters=counts["parameters"] / 1e6,
        active=counts["activeParameters"] / 1e6,
        size=(model / "model.safetensors").stat().st_size / 1e6,
        minutes=config["trained"]["minutes"],
        tokens=tokens,
        layers=layers,
        ring=sum((i + 1) % group == 0 or i >= layers // group * group for i in range(layers)),
        window=config["ring_window"],
        hop=config["ring_max_hop"],
        sinks=config["ring_sinks"],
        experts=config["num_experts"],
        top=config["num_experts_per_tok"],
        share=counts["activeExpertShare"],
    )
    result = json.loads((work / "evaluation.json").read_text())
    ablations = work / "ablations" / "ablations.json"
    sections = [head, data_section(report, tokens, counts["rows"] * ROW / 1e6)]
    sections += [f"\n{note}\n"] if note else []
    sections += [measured_section(result, report)]
    sections += [infilling_section(json.loads((work / "infilling.json").read_text()))]
    if ablations.exists():
        sections += [ablations_section(json.loads(ablations.read_text()))]
    return "".join(sections) + LIMITS.format(context=config["max_position_embeddings"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="the training's folder")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--licence", type=pathlib.Path, required=True)
    parser.add_argument("--note", default="", help="a paragraph on the training data")
    chosen = parser.parse_args()
    text = card(chosen.work, chosen.run, chosen.model, chosen.note)
    (chosen.model / "README.md").write_text(text)
    shutil.copyfile(chosen.licence, chosen.model / "LICENSE")
