#!/usr/bin/env bash
# Pictures repeated by --from: settings whose line is broken, without a seed, of other programs, and files of prompts in
# other encodings.  settings_test.sh LOWRANK FIXTURES
set -euo pipefail
lowrank=$(realpath "$1") fixtures=$(realpath "$2") tiny=$(realpath "$2")/sd15-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive LOWRANK_DATA_DIR=$work XDG_CACHE_HOME=$work/cache XDG_DATA_HOME=$work/home XDG_CONFIG_HOME=$work/config
unset LOWRANK_INDEX
mkdir -p "$work/models/Stable-diffusion" "$work/models/Lora"
ln -s "$tiny/sd15-tiny.safetensors" "$work/models/Stable-diffusion/base.safetensors"
cp "$tiny/sd15-tiny-lora_attn.safetensors" "$work/models/Lora/fox.safetensors"
cp "$tiny/sd15-tiny-loha_attn.safetensors" "$work/models/Lora/hat.safetensors"
cd "$work"
fail() { echo "$*" >&2; exit 1; }
draw() { "$lowrank" "$@" --size 64x64 --steps 2 --quiet 2>errors >/dev/null; }
settings() { "$lowrank" png-info "$1"; }

# A line break inside a field: the seed is read all the same.
printf 'a fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 77, Size: 64x64, Template: red\nand blue, Version: v1.9' > broken.txt
draw txt2img --from broken.txt -o broken.png
settings broken.png | grep -q 'Seed: 77,' || fail "the seed behind a broken line was not read: $(settings broken.png)"
settings broken.png | grep -q '^Negative prompt: blurry$' || fail "settings became the negative prompt: $(settings broken.png)"

# No seed: that is told.
printf 'a fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, CFG scale: 7, Size: 64x64' > seedless.txt
draw txt2img --from seedless.txt -o seedless.png
grep -q 'does not state Seed.*random seed' errors || fail "a random seed was taken without a word: $(cat errors)"
printf 'a fox\nSteps: 20, Seed: 5' > few.txt
draw txt2img --from few.txt -o few.png
grep -q "the line 'Steps: 20, Seed: 5' looks like settings" errors || fail "the unread line is not named: $(cat errors)"

# Other programs' pictures: their words, seed, sampler and LoRAs.
draw txt2img --from "$fixtures/generators/comfyui.png" -o comfy.png
grep -q 'made by ComfyUI' errors || fail "the program is not named: $(cat errors)"
settings comfy.png | grep -q '^a red fox, softlight <lora:fox:0.8><lora:hat:0:0.5>$' || fail "ComfyUI: $(settings comfy.png)"
settings comfy.png | grep -q 'Sampler: Euler a, Schedule type: Karras, CFG scale: 7.5, Seed: 123456789,' || fail "ComfyUI: $(settings comfy.png)"
draw txt2img --from "$fixtures/generators/easy-diffusion-text.txt" -o easy.png
settings easy.png | grep -q 'Seed: 123456789,' || fail "Easy Diffusion: $(settings easy.png)"
"$lowrank" recipe save swarm --from "$fixtures/generators/swarmui.png" >/dev/null 2>&1
"$lowrank" recipe show swarm --json | grep -q '"fox"' || fail "the recipe lacks the picture's LoRA"

# Files of prompts are text in UTF-8, or say what they are.
printf '\xff\xfe' > prompts.txt
printf 'a f\xc3\xbcx\n' | iconv -t UTF-16LE >> prompts.txt
draw prompts --file prompts.txt --no-sheet --seed 1 -o 'p-[number].png'
settings p-*.png | head -1 | grep -q '^a füx' || fail "UTF-16: $(settings p-*.png)"
printf 'a f\xfcx\n' > latin.txt
"$lowrank" prompts --file latin.txt --size 64x64 --steps 1 -o q.png 2>errors && fail "a prompt in another encoding was drawn"
grep -q 'latin.txt: byte 4 (0xfc)' errors || fail "the byte is not named: $(cat errors)"
