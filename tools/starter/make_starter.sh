#!/usr/bin/env bash
# Rebuilds the starter model from nothing: drawings, autoencoder, base, six LoRAs, previews, figures. Each part that is
# finished is kept in WORK (default build/starter), and a stopped part goes on where it stopped. Several hours on two cores.
#   tools/starter/make_starter.sh [WORK]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
lowrank=$root/build/release/bin/lowrank
mkdir -p "${1:-build/starter}"
work=$(cd "${1:-build/starter}" && pwd)
models=$root/models/starter

say() { printf '\n== %s\n' "$*"; }

if [ ! -f "$work/drawn" ]; then
  say "drawing the pictures"
  (cd tools/starter/draw && npm ci --no-audit --no-fund)
  node tools/starter/draw/draw.mjs --out "$work/drawings" --seed 1 --variants 12
  node tools/starter/draw/draw_for_vae.mjs --out "$work/vae-drawings" --seed 1
  touch "$work/drawn"
fi

if [ ! -f "$work/starter.safetensors" ]; then
  say "training the base (autoencoder, then text encoder and U-Net)"
  "$lowrank" train base --data "$work/drawings/base" --vae-data "$work/vae-drawings" --state "$work/base-state" \
    --shape starter --vae-steps 4500 --steps 24500 --batch 16 --seed 1 --out "$work/starter.safetensors"
fi
mkdir -p "$models/lora"
cmp -s "$work/starter.safetensors" "$models/starter.safetensors" || cp "$work/starter.safetensors" "$models/"

tools/starter/make_loras.sh "$work"

say "measuring"
tools/starter/measure.sh "$work"
