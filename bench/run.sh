#!/usr/bin/env bash
# Time and memory of one 512x512 picture on a full-size Stable Diffusion 1.5 with random weights, and of each kind of
# layer, beside other programs, in one run on this machine.
#
#   SD_CPP=.../sd-cli PYTHON=.../python  bench/run.sh [STEPS] [THREADS]
#
# SD_CPP: the command line of stable-diffusion.cpp. PYTHON: a Python that has torch and diffusers, and openvino if that
# is to be compared. Absent ones are said to be absent.
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-3} threads=${2:-$(nproc)} size=${SIZE:-512} build=${BUILD:-build/release}
lowrank=$build/bin/lowrank
work=${WORK:-build/bench}
model=$work/models/Stable-diffusion/random-sd15.safetensors
lora=$work/models/Lora/random-rank32.safetensors
export OMP_WAIT_POLICY=passive
mkdir -p "$(dirname "$model")" "$(dirname "$lora")"
[ -f "$model" ] || "$lowrank" model random --like sd15 --out "$model"

lscpu | sed -n 's/^Model name: */machine           /p'
echo "load              $(cut -d' ' -f1-3 /proc/loadavg)"
if [ -x "$build/bin/kernel_bench" ]; then
  echo "== LowRank's kernels"
  "$build/bin/kernel_bench" "$threads" 3
fi
echo "== LowRank, float32"
"$lowrank" bench --data-dir "$work" --model "$model" --size "${size}x$size" --steps "$steps" --threads "$threads" --quiet
echo "== LowRank, the U-Net in 8 bits"
"$lowrank" bench --data-dir "$work" --model "$model" --size "${size}x$size" --steps "$steps" --threads "$threads" --quiet --int8
echo "== LowRank with a LoRA of rank 32 on every layer"
if [ ! -f "$lora" ] && [ -n "${PYTHON:-}" ]; then "$PYTHON" bench/random_lora.py "$lora" || true; fi
if [ -f "$lora" ]; then
  "$lowrank" bench --data-dir "$work" --model "$model" --size "${size}x$size" --steps "$steps" --threads "$threads" --quiet \
    -p "a red fox <lora:random-rank32:0.5>"
  echo "== LowRank's server, a change of LoRAs (64x64, 2 steps)"
  python3 bench/memory.py "$lowrank" tests/fixtures --requests 40 --hold 4 --switch-every 1000 --data-dir "$work" \
    --model random-sd15 --lora random-rank32 | grep -v "change of checkpoint"
else
  echo "absent ($lora is not there; bench/random_lora.py writes one)"
fi
echo "== stable-diffusion.cpp"
if [ -n "${SD_CPP:-}" ]; then
  log=$work/stable-diffusion.cpp.log
  for flags in "" "--diffusion-fa" "--diffusion-conv-direct --vae-conv-direct" \
    "--diffusion-fa --diffusion-conv-direct --vae-conv-direct"; do
    echo "flags             ${flags:-none}"
    # shellcheck disable=SC2086  # flags are words
    /usr/bin/env time -f "peak memory       %M KB" "$SD_CPP" -m "$model" -p "a red fox in the snow" --sampling-method euler \
      --steps "$steps" --cfg-scale 7 -W "$size" -H "$size" -s 1 -t "$threads" -o "$work/peer.png" $flags >"$log" 2>&1 || true
    grep -aE "sampling completed|s/it|decode_first_stage completed|latent 1 decoded|peak memory|error" "$log" | tr '\r' '\n' | tail -n 8
  done
else
  echo "absent (SD_CPP names no program)"
fi
for mode in eager channels-last compile openvino; do
  echo "== PyTorch, $mode, float32"
  if [ -z "${PYTHON:-}" ]; then
    echo "absent (PYTHON names no interpreter with torch and diffusers)"
  else
    "$PYTHON" bench/pytorch.py "$size" "$steps" "$threads" "$mode" || echo "failed"
  fi
done
