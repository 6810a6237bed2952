#!/bin/bash
# From the manifest to models/ringside-small: every step once, skipped when what it makes is there.
#
#   HUMANEVAL=folder/of/HumanEval.jsonl.gz training/recipe.sh [small|large]
#
# PYTHON: an interpreter with torch, tokenizers, safetensors and numpy; the manifest's pip packages
# are looked for in it. MINUTES: the training's time. BATCH: rows of 2,048 tokens a step. START: a
# model folder made by this recipe, to train further. SEED: of what is sampled to be trained on; with
# another than before, START reads other documents and other middles. On a CPU install libjemalloc2:
# training finds it and is three times as fast. The manifest's Debian packages must be installed;
# those that are not are named and left out.
set -euo pipefail
cd "$(dirname "$0")"

size=${1:-small}
: "${HUMANEVAL:?a folder with HumanEval.jsonl.gz, to keep its problems out of the corpus}"
: "${PYTHON:=python3}" "${MINUTES:=70}" "${BATCH:=4}" "${START:=}" "${SEED:=1}"
# glibc gives every large tensor back to the system and takes it anew, a page fault for every 4 KiB:
# with jemalloc a step of two rows took a third of the time on two cores (2,987 for 976 tokens/s).
jemalloc=$(ldconfig -p 2>/dev/null | awk '/libjemalloc\.so\.2/ { print $NF; exit }' || true)
export MALLOC_CONF=thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1
config=configs/$size.json
work=work/$size
model=../models/ringside-$size
mkdir -p "$work"

step() { # OUTPUT COMMAND...: runs the command unless its output is there
  local output=$1
  shift
  if [ -e "$output" ]; then
    echo "$output is there"
  else
    echo "making $output"
    "$@"
  fi
}

names() { # SOURCE: name@version of each of its packages
  "$PYTHON" -c '
import json, sys
for p in json.load(open("manifest.json"))["packages"]:
    if p["source"] == sys.argv[1]: print(p["name"] + "@" + p["version"])' "$1"
}

samples() { # SPLIT OUTPUT SEED
  (cd .. && node --import tsx training/samples.ts \
    "training/$work/corpus.jsonl" "training/$2" "$1" "$3")
}

install_npm() { # scripts of packages are not run: only their text is read
  mkdir -p "$work/npm" && echo '{"private": true}' > "$work/npm/package.json"
  names npm | xargs npm install --prefix "$work/npm" --ignore-scripts --legacy-peer-deps --no-audit
}

vocabulary=$("$PYTHON" -c "import json; print(json.load(open('$config'))['vocab_size'])")
pack=("$PYTHON" pack.py --tokenizer "$work/tokenizer.json" --config "$config")
train=("$PYTHON" train.py --config "$config" --data "$work/train.npz" --out "$work/run"
  ${START:+--start "$START"})
ablate=("$PYTHON" ablate.py --config "$config" --data "$work/train.npz")

step "$work/npm/node_modules" install_npm
step "$work/corpus.jsonl" "$PYTHON" corpus.py \
  --npm "$work/npm/node_modules" --humaneval "$HUMANEVAL" --out "$work"
if [ -n "$START" ]; then cp "$START/tokenizer.json" "$work/tokenizer.json"; fi
step "$work/tokenizer.json" "$PYTHON" tokenizer.py \
  --corpus "$work/corpus.jsonl" --vocabulary "$vocabulary" --out "$work/tokenizer.json"
step "$work/samples-train.jsonl" samples train "$work/samples-train.jsonl" "$SEED"
step "$work/samples-heldout.jsonl" samples heldout "$work/samples-heldout.jsonl" 1
step "$work/train.npz" "${pack[@]}" \
  --samples "$work/samples-train.jsonl" --out "$work/train.npz"
step "$work/heldout.npz" "${pack[@]}" \
  --samples "$work/samples-heldout.jsonl" --out "$work/heldout.npz"
LD_PRELOAD=$jemalloc "${train[@]}" --minutes "$MINUTES" --batch "$BATCH" # goes on where it was, and ends at once when done
"$PYTHON" export.py --checkpoint "$work/run/checkpoint.pt" --config "$config" \
  --tokenizer "$work/tokenizer.json" --out "$model"
LD_PRELOAD=$jemalloc "$PYTHON" copying.py --model "$model" --data "$work/train.npz"
step "$work/evaluation.json" sh -c "\"$PYTHON\" evaluate.py --model $model \
  --corpus $work/corpus.jsonl --checkpoint $work/run/checkpoint.pt --middles $work/heldout.npz \
  --json | tee $work/evaluation.txt | tail -n 1 > $work/evaluation.json"
infill() { # [--no-gate] [--no-copy]: its JSON line
  (cd .. && node --import tsx test/eval/infilling.ts --model "models/ringside-$size" --json "$@" \
    "$HUMANEVAL/HumanEval-SingleLineInfilling.jsonl.gz" | tail -n 1)
}
infill_all() {
  printf '[%s, %s, %s]\n' "$(infill --no-copy)" "$(infill --no-copy --no-gate)" "$(infill)" \
    > "$work/infilling.json"
}
step "$work/infilling.json" infill_all
step "$work/ablations/ablations.json" "${ablate[@]}" \
  --heldout "$work/heldout.npz" --out "$work/ablations"
"$PYTHON" card.py --work "$work" --run "$work/run" --model "$model" \
  --licence ../LICENSE
