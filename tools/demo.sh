#!/usr/bin/env bash
# The first pictures of a newcomer: six prompts, each without and with a LoRA (a character, an object, a concept, a
# garment, a pose, a style), same seed, and one sheet that shows them side by side. Pictures that are newer than program
# and models are kept.
set -euo pipefail
cd "$(dirname "$0")/.."
lowrank=build/release/bin/lowrank
models=models/starter
out=outputs/demo
mkdir -p "$out"
# Each line: the LoRA, and a prompt with its trigger words.
prompts=(
  "character_zorbo|zorbo, noto style, red background"
  "object_umbrella|umbrella, noto style, yellow background"
  "concept_bubble|cat face in a bubble, noto style, purple background"
  "clothing_top_hat|man wearing a top hat, noto style, blue background"
  "pose_lotus|woman in lotus position, noto style, green background"
  "3dmm_style|cat face, 3dmm style, purple background"
)
is_fresh() {
  local input
  for input in build/release/bin/lowrank build/release/bin/liblowrank_engine.so "$models/starter.safetensors" \
    "$models"/lora/*.safetensors tools/demo.sh; do
    [ "$1" -nt "$input" ] || return 1
  done
}

pictures=() captions=()
for i in "${!prompts[@]}"; do
  lora=${prompts[$i]%%|*} prompt=${prompts[$i]#*|}
  for with in without with; do
    file=$out/$((i + 1))-$with.png
    text=$prompt
    [ $with = with ] && text="$prompt <lora:$lora:1>"
    pictures+=("$file")
    captions+=(--caption "$text")
    is_fresh "$file" && continue
    "$lowrank" txt2img --model "$models/starter.safetensors" --prompt "$text" --seed 42 --cfg 5 -o "$file" |
      tee "${file%.png}.report"
  done
done
sheet=$out/contact-sheet.png
is_fresh "$sheet" || "$lowrank" contact-sheet --columns 4 -o "$sheet" "${captions[@]}" "${pictures[@]}"
echo
echo "LoRA report for the first picture:"
cat "${pictures[1]%.png}.report"
cat <<TEXT

Two pictures of the same prompt and seed, without and with a LoRA:
  ${pictures[0]}
  ${pictures[1]}
Six such pairs on one sheet:
  $sheet
The web page:  $lowrank serve --open   (http://127.0.0.1:7860)
Next: $lowrank lora list; $lowrank txt2img --help
TEXT
