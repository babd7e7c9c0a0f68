#!/usr/bin/env bash
# A recipe used for a picture: it draws what its words draw when they are typed, and a picture gives its recipe back, also
# where the LoRA bears another name.  recipe_test.sh LOWRANK FIXTURES
set -euo pipefail
lowrank=$(realpath "$1") tiny=$(realpath "$2")/sd15-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive LOWRANK_DATA_DIR=$work XDG_CACHE_HOME=$work/cache XDG_DATA_HOME=$work/home XDG_CONFIG_HOME=$work/config
unset LOWRANK_INDEX
mkdir -p "$work/models/Stable-diffusion" "$work/models/Lora/sub"
ln -s "$tiny/sd15-tiny.safetensors" "$work/models/Stable-diffusion/tiny.safetensors"
cp "$tiny/sd15-tiny-lora_attn.safetensors" "$work/models/Lora/attention.safetensors"
cp "$tiny/sd15-tiny-loha_attn.safetensors" "$work/models/Lora/sub/loha.safetensors"
cd "$work"
draw() { "$lowrank" txt2img --size 64x64 --steps 2 --seed 42 --quiet "$@" >/dev/null; }
same() { cmp "$1" "$2" || { echo "$3" >&2; exit 1; }; }

"$lowrank" recipe save evening --lora attention:0.8 --lora sub/loha:0.5 -p "soft light" -n harsh >/dev/null
draw -p "a fox, soft light, <lora:attention:0.8>, <lora:sub/loha:0.5>" -n "blurry, harsh" -o typed.png
draw -p "a fox" -n blurry --recipe evening -o recipe.png
same typed.png recipe.png "a recipe draws something else than its words"
draw -p "a fox, soft light" -n "blurry, harsh" -o without.png
cmp -s without.png recipe.png && { echo "the recipe's LoRAs changed nothing" >&2; exit 1; }

# Recipes add up in their order; alone, a recipe is a prompt.
"$lowrank" recipe save rain -p "rain" >/dev/null
draw -p "a fox, soft light, <lora:attention:0.8>, <lora:sub/loha:0.5>, rain" -n harsh -o typed2.png
draw -p "a fox" --recipe evening --recipe rain -o recipe2.png
same typed2.png recipe2.png "two recipes do not add up"
draw --recipe evening -o alone.png
draw -p "soft light, <lora:attention:0.8>, <lora:sub/loha:0.5>" -n harsh -o typed3.png
same typed3.png alone.png "a recipe alone draws something else"

# A picture's recipe, when the LoRA has been renamed since: found by the hash that the picture carries.
"$lowrank" recipe save again --from recipe.png >/dev/null
"$lowrank" recipe show again --json | grep -q '"attention"' || { echo "the picture's LoRA is not in its recipe" >&2; exit 1; }
mv models/Lora/attention.safetensors models/Lora/vulpes.safetensors
rm -rf "$work/cache"
"$lowrank" lora scan --hash --quiet >/dev/null
draw --recipe again -o renamed.png
"$lowrank" png-info renamed.png | grep -q '<lora:vulpes:0.8>' || { echo "the renamed LoRA was not found by its hash" >&2; exit 1; }
python3 - recipe.png renamed.png <<'PY'
import sys, zlib
def pixels(path):
    """The image data of a PNG, unpacked: the texts beside it name the LoRA differently."""
    data, at, packed = open(path, "rb").read(), 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    return zlib.decompress(packed)
sys.exit(0 if pixels(sys.argv[1]) == pixels(sys.argv[2]) else "the recipe of a picture draws another one")
PY

# What is not there is told before anything is drawn.
if draw --recipe nothing -o none.png 2>error.txt; then echo "a missing recipe was passed over" >&2; exit 1; fi
grep -q "nothing" error.txt
test ! -e none.png
