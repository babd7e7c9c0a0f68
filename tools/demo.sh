#!/usr/bin/env bash
# The first pictures of a newcomer: six prompts, each without and with the LoRA <lora:3dmm_style:1>, same seed, and one
# sheet that shows them side by side. Pictures that are newer than program and models are kept.
set -euo pipefail
cd "$(dirname "$0")/.."
lowrank=build/release/bin/lowrank
models=models/starter
out=outputs/demo
mkdir -p "$out"
prompts=(
  "3dmm style, fox, blue background"
  "3dmm style, apple, yellow background"
  "3dmm style, car, green background"
  "3dmm style, penguin, pink background"
  "3dmm style, house, teal background"
  "3dmm style, cat face, purple background"
)
is_fresh() {
  local input
  for input in build/release/bin/lowrank build/release/bin/liblowrank_engine.so "$models/starter.safetensors" \
    "$models/lora/3dmm_style.safetensors" tools/demo.sh; do
    [ "$1" -nt "$input" ] || return 1
  done
}

pictures=() captions=()
for i in "${!prompts[@]}"; do
  prompt=${prompts[$i]}
  for with in without with; do
    file=$out/$((i + 1))-$with.png
    text=$prompt
    [ $with = with ] && text="$prompt <lora:3dmm_style:1>"
    pictures+=("$file")
    captions+=(--caption "$text")
    is_fresh "$file" && continue
    "$lowrank" txt2img --model "$models/starter.safetensors" --prompt "$text" --seed 42 --cfg 5 -o "$file" |
      tee "${file%.png}.report"
  done
done
sheet=$out/contact-sheet.png
is_fresh "$sheet" || "$lowrank" contact-sheet --columns 2 -o "$sheet" "${captions[@]}" "${pictures[@]}"
echo
echo "What the LoRA did to the first picture:"
cat "${pictures[1]%.png}.report"
cat <<TEXT

Two pictures of the same prompt and seed, without and with a LoRA:
  ${pictures[0]}
  ${pictures[1]}
Six such pairs on one sheet:
  $sheet
Next: $lowrank lora list; $lowrank txt2img --help
TEXT
