#!/usr/bin/env bash
# Draws six prompts twice, same seed, without and with a LoRA of the starter set, and one contact sheet of them all.
# usage: demo.sh LOWRANK [OUT_DIR]
set -euo pipefail
lowrank=$1 out=${2:-outputs/demo}
cd "$(dirname "$0")/.."
mkdir -p "$out"
lora=3dmm_style
things=("fox, blue background" "pizza, yellow background" "octopus, purple background" "car, green background"
        "owl, orange background" "strawberry, white background")
pictures=()
number=0
for thing in "${things[@]}"; do
  number=$((number + 1))
  for with in without with; do
    if [ $with = with ]; then prompt="3dmm style, $thing <lora:$lora:1>"; else prompt="3dmm style, $thing"; fi
    file="$out/$number-$with.png"
    pictures+=("$file")
    [ -f "$file" ] && [ "$file" -nt "$lowrank" ] && continue
    "$lowrank" txt2img -p "$prompt" --seed 42 -o "$file"
  done
done
"$lowrank" contact-sheet --columns 2 -o "$out/contact-sheet.png" "${pictures[@]}"
echo
echo "The same prompt and seed, without and with the LoRA '$lora':"
echo "  $out/1-without.png"
echo "  $out/1-with.png"
echo "All six prompts side by side: $out/contact-sheet.png"
