#!/usr/bin/env bash
# Time and memory of one picture on a full-size Stable Diffusion with random weights, and of each kind of layer, beside
# other programs, in one run on this machine.
#
#   LIKE=sd15|sdxl SIZE=512 PRECISION=float32|bf16 SD_CPP=.../sd-cli PYTHON=.../python  bench/run.sh [STEPS] [THREADS]
#
# LIKE: the model's dimensions (sd15); SIZE: of the picture (512, of SDXL 1024). PRECISION: of LowRank's,
# PyTorch's and OpenVINO's U-Net. PARTS: which to run, of "kernels lowrank int8
# lora sd.cpp eager channels-last compile openvino" (all; without compile for SDXL, whose compilation takes longer than all
# the others). SD_CPP: the command line of stable-diffusion.cpp; SD_CPP_FLAGS: only these of its flags, one set a line.
# PYTHON: a Python that has torch and diffusers, and openvino if that is to be compared. Absent ones are said to be absent.
# For SDXL a step of SD 1.5 at 512x512 is measured beside, and needs its random checkpoint too (2 GB beside 7 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
like=${LIKE:-sd15} precision=${PRECISION:-float32} steps=${1:-3} threads=${2:-$(nproc)} build=${BUILD:-build/release}
[ "$like" = sdxl ] && size=${SIZE:-1024} compile="" || size=${SIZE:-512} compile=compile
parts=" ${PARTS:-kernels lowrank int8 lora sd.cpp eager channels-last $compile openvino} "
lowrank=$build/bin/lowrank
work=${WORK:-build/bench}
lora=random-$like-rank32
export OMP_WAIT_POLICY=passive
mkdir -p "$work/models/Stable-diffusion" "$work/models/Lora"

wanted() { [[ $parts == *" $1 "* ]]; }
load() { echo "load              $(cut -d' ' -f1-3 /proc/loadavg)"; }
random_model() {
  [ -f "$work/models/Stable-diffusion/random-$1.safetensors" ] ||
    "$lowrank" model random --like "$1" --out "$work/models/Stable-diffusion/random-$1.safetensors"
}
lowrank_bench() {  # LIKE SIZE OPTIONS…
  load
  "$lowrank" bench --data-dir "$work" --model "$work/models/Stable-diffusion/random-$1.safetensors" --size "${2}x$2" \
    --steps "$steps" --threads "$threads" --precision "$precision" --quiet "${@:3}"
}
sd_cpp() {  # FLAGS
  echo "flags             ${1:-none}"
  load
  # shellcheck disable=SC2086  # flags are words
  /usr/bin/env time -f "processor time    %U s user, %S s system; peak memory %M KB" "$SD_CPP" -m "$work/models/Stable-diffusion/random-$like.safetensors" \
    -p "a red fox in the snow" --sampling-method euler --steps "$steps" --cfg-scale 7 -W "$size" -H "$size" -s 1 -t "$threads" \
    -o "$work/peer.png" $1 >"$work/stable-diffusion.cpp.log" 2>&1 || true
  tr '\r' '\n' <"$work/stable-diffusion.cpp.log" |
    grep -aE "sampling completed|s/it|decode_first_stage completed|latent 1 decoded|peak memory|error" | tail -n 8
}

random_model "$like"
[ "$like" = sd15 ] || random_model sd15
lscpu | sed -n 's/^Model name: */machine           /p'
if wanted kernels && [ -x "$build/bin/kernel_bench" ]; then
  echo "== LowRank's kernels"
  load
  "$build/bin/kernel_bench" "$threads" 3
fi
if wanted lowrank; then
  echo "== LowRank, $precision"
  lowrank_bench "$like" "$size"
  if [ "$like" != sd15 ]; then
    echo "== LowRank, $precision, SD 1.5 at 512x512"
    lowrank_bench sd15 512
  fi
fi
if wanted int8; then
  echo "== LowRank, the U-Net in 8 bits"
  lowrank_bench "$like" "$size" --int8
fi
if wanted lora; then
  echo "== LowRank with a LoRA of rank 32 on every linear layer"
  file=$work/models/Lora/$lora.safetensors
  if [ ! -f "$file" ] && [ -n "${PYTHON:-}" ]; then "$PYTHON" bench/random_lora.py "$file" 32 "$like" || true; fi
  if [ -f "$file" ]; then
    lowrank_bench "$like" "$size" -p "a red fox <lora:$lora:0.5>"
    echo "== LowRank's server, a change of LoRAs (64x64, 2 steps)"
    python3 bench/memory.py "$lowrank" tests/fixtures --requests 40 --hold 4 --switch-every 1000 --data-dir "$work" \
      --model "random-$like" --lora "$lora" | grep -v "change of checkpoint"
  else
    echo "absent ($file is not there; bench/random_lora.py writes one)"
  fi
fi
if wanted sd.cpp; then
  echo "== stable-diffusion.cpp"
  if [ -z "${SD_CPP:-}" ]; then
    echo "absent (SD_CPP names no program)"
  elif [ -n "${SD_CPP_FLAGS+set}" ]; then
    while IFS= read -r flags; do sd_cpp "$flags"; done <<<"$SD_CPP_FLAGS"
  else
    for flags in "" "--diffusion-fa" "--diffusion-conv-direct --vae-conv-direct" \
      "--diffusion-fa --diffusion-conv-direct --vae-conv-direct"; do
      sd_cpp "$flags"
    done
  fi
fi
for mode in eager channels-last compile openvino; do
  wanted "$mode" || continue
  echo "== PyTorch, $mode, $precision"
  load
  if [ -z "${PYTHON:-}" ]; then
    echo "absent (PYTHON names no interpreter with torch and diffusers)"
  else
    "$PYTHON" bench/pytorch.py "$size" "$steps" "$threads" "$mode" "$like" "$precision" || echo "failed"
  fi
done
