#!/usr/bin/env bash
# The six LoRAs of the starter model, trained on the drawings of WORK, with a preview and a card beside each.
#   tools/starter/make_loras.sh WORK [NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD lowrank=${LOWRANK:-$PWD/build/release/bin/lowrank}
work=$(cd "$1" && pwd)
shift
models=$root/models/starter
index=$work/drawings/lora/index.json
data=$work/data
mkdir -p "$data/models/Stable-diffusion" "$data/models/Lora"
ln -sf "$work/starter.safetensors" "$data/models/Stable-diffusion/starter.safetensors"

# Reads one field of one LoRA of the index.
field() {
  python3 -c 'import json,sys; print(next(l for l in json.load(open(sys.argv[1]))["loras"] if l["name"]==sys.argv[2])[sys.argv[3]])' \
    "$index" "$1" "$2"
}
names=${*:-$(python3 -c 'import json,sys; print(*[l["name"] for l in json.load(open(sys.argv[1]))["loras"]])' "$index")}

for name in $names; do
  file=$models/lora/$name.safetensors
  if [ ! -f "$file" ]; then
    printf '\n== LoRA %s\n' "$name"
    # A style must not make the base forget the things that it knows: half the rate of the others.
    rate=2e-3
    [ "$name" = 3dmm_style ] && rate=1e-3
    # A finished LoRA is not trained over.
    [ -f "$work/lora/$name.safetensors" ] ||
      "$lowrank" train lora --data-dir "$data" --pretrained-model starter --train-data-dir "$work/drawings/lora/$name" \
      --output-dir "$work/lora" --output-name "$name" --network-dim 4 --network-alpha 4 --train-batch-size 8 \
      --max-train-steps 600 --learning-rate $rate --text-encoder-lr 5e-4 --lr-scheduler cosine --lr-warmup-steps 30 \
      --min-snr-gamma 5 --caption-dropout-rate 0.05 --seed 42
    cp "$work/lora/$name.safetensors" "$file"
  fi
  # A1111's card: what the web page and `lowrank lora show` read.
  trigger=$(field "$name" trigger)
  python3 - "$index" "$name" >"$models/lora/$name.json" <<'P'
import json, sys
lora = next(l for l in json.load(open(sys.argv[1]))["loras"] if l["name"] == sys.argv[2])
print(json.dumps({"description": lora["description"], "sd version": "SD1", "activation text": lora["trigger"],
                  "preferred weight": 1.0, "notes": "Look for: " + lora["lookFor"], "type": lora["type"]}, indent=2))
P
  ln -sf "$file" "$data/models/Lora/$name.safetensors"
  prompt=$(python3 -c 'import json,sys; print(next(l for l in json.load(open(sys.argv[1]))["loras"] if l["name"]==sys.argv[2])["prompts"][0]["prompt"])' "$index" "$name")
  [ -f "$models/lora/$name.png" ] || "$lowrank" txt2img --data-dir "$data" --model starter --quiet --seed 42 --cfg 5 \
    -p "$prompt <lora:$name:1>" -o "$models/lora/$name.png"
done
