#!/usr/bin/env bash
# Measures the starter model on the drawings of WORK and writes WORK/figures.md: how well the base follows captions that
# it never saw, and what each LoRA adds as its weight grows. A small classifier, trained on the drawings, is the judge.
# Pictures that are there already are kept.
#   tools/starter/measure.sh [WORK]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$(cd "${1:-build/starter}" && pwd)
lowrank=${LOWRANK:-$root/build/release/bin/lowrank}
judge=$root/build/release/bin/starter_measure
pictures=$work/measured
export OMP_WAIT_POLICY=passive

cmake --build build/release --target starter_measure >/dev/null
[ -f "$work/judge.safetensors" ] ||
  "$judge" train --data "$work/drawings" --judge "$work/judge.safetensors" --steps 2500

# prints FILE<tab>PROMPT for every picture to be made
list() {
  python3 - "$work/drawings" "$pictures" <<'P'
import json, pathlib, sys
data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
for i, entry in enumerate(json.load(open(data / "heldout.json"))):
    print(out / "base" / f"{i}.png", entry["caption"], sep="\t")
for lora in json.load(open(data / "lora" / "index.json"))["loras"]:
    for weight in ("0", "0.25", "0.5", "0.75", "1"):
        for p, prompt in enumerate(lora["prompts"]):
            tag = "" if weight == "0" else f" <lora:{lora['name']}:{weight}>"
            print(out / "lora" / lora["name"] / weight / f"{p}-[seed].png", prompt["prompt"] + tag, sep="\t")
P
}
list | while IFS=$'\t' read -r file prompt; do
  [ -e "${file/\[seed\]/42}" ] && continue
  batch=1
  [[ $file == *'[seed]'* ]] && batch=2
  mkdir -p "$(dirname "$file")"
  "$lowrank" txt2img --quiet --model "$root/models/starter/starter.safetensors" --seed 42 --cfg 5 --batch-size $batch \
    -p "$prompt" -o "$file" </dev/null >/dev/null
done
"$judge" judge --data "$work/drawings" --judge "$work/judge.safetensors" --pictures "$pictures" --out "$work/figures.md"
