#!/usr/bin/env bash
# Time and memory of one 512x512 picture on a full-size Stable Diffusion 1.5 with random weights, beside other programs,
# in one run on this machine.
#
#   SD_CPP=.../sd-cli PYTHON=.../python  bench/run.sh [STEPS] [THREADS]
#
# SD_CPP: the command line of stable-diffusion.cpp. PYTHON: a Python that has torch and diffusers. Absent ones are said
# to be absent.
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-3} threads=${2:-$(nproc)} size=${SIZE:-512}
lowrank=build/release/bin/lowrank
work=${WORK:-build/bench}
model=$work/models/Stable-diffusion/random-sd15.safetensors
mkdir -p "$(dirname "$model")"
[ -f "$model" ] || "$lowrank" model random --like sd15 --out "$model"

lscpu | sed -n 's/^Model name: */machine           /p'
echo "load              $(cut -d' ' -f1-3 /proc/loadavg)"
echo "== LowRank, float32"
"$lowrank" bench --data-dir "$work" --model "$model" --size "${size}x$size" --steps "$steps" --threads "$threads" --quiet
echo "== stable-diffusion.cpp"
if [ -n "${SD_CPP:-}" ]; then
  log=$work/stable-diffusion.cpp.log
  /usr/bin/env time -f "peak memory       %M KB" "$SD_CPP" -m "$model" -p "a red fox in the snow" --sampling-method euler \
    --steps "$steps" --cfg-scale 7 -W "$size" -H "$size" -s 1 -t "$threads" -o "$work/peer.png" >"$log" 2>&1 || true
  grep -aE "sampling completed|s/it|decode_first_stage completed|latent 1 decoded|peak memory|error" "$log" | tr '\r' '\n' | tail -n 8
else
  echo "absent (SD_CPP names no program)"
fi
echo "== PyTorch eager, float32"
if [ -n "${PYTHON:-}" ]; then
  "$PYTHON" bench/pytorch_eager.py "$size" "$steps" "$threads"
else
  echo "absent (PYTHON names no interpreter with torch and diffusers)"
fi
