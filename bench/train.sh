#!/usr/bin/env bash
# Time and memory of a step of a LoRA's training (rank 16, batch 1) on a full-size Stable Diffusion with random weights,
# beside PyTorch with PEFT, in one run on this machine.
#
#   LIKE=sd15|sdxl SIZES="512 256" PYTHON=.../python  bench/train.sh [STEPS] [THREADS]
#
# SIZES: of the pictures (of SDXL 1024). PARTS: which to run, of "float32 float32-checkpointing bf16 bf16-checkpointing torch
# torch-bf16 torch-checkpointing torch-bf16-checkpointing" (all but the last two). PYTHON: a Python with torch, diffusers and peft. WORK: a folder for models,
# pictures and results. LowRank's LoRA is on attention, feed-forward and the projections around them, PEFT's on attention and
# feed-forward alone. A step of LowRank is the difference between a run of one step and a longer one, as both times are
# those of whole programs; PyTorch tells its steps itself, after a first one. Processor time says what a step costs where
# others use the machine as well.
set -euo pipefail
cd "$(dirname "$0")/.."
like=${LIKE:-sd15} steps=${1:-2} threads=${2:-$(nproc)} build=${BUILD:-build/release}
[ "$like" = sdxl ] && sizes=${SIZES:-1024} || sizes=${SIZES:-512 256}
parts=${PARTS:-float32 float32-checkpointing bf16 bf16-checkpointing torch torch-bf16}
lowrank=$build/bin/lowrank
work=${WORK:-build/bench}
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=$threads
model=$work/models/Stable-diffusion/random-$like.safetensors
mkdir -p "$(dirname "$model")"
[ -f "$model" ] || "$lowrank" model random --like "$like" --out "$model"

# A folder with one picture of that size.
pictures() {  # SIZE
  local folder=$work/train-$1/1_disc
  mkdir -p "$folder"
  python3 - "$1" "$folder/disc.png" <<'END'
import struct, sys, zlib
side, path = int(sys.argv[1]), sys.argv[2]
rows = b"".join(b"\0" + bytes(v for x in range(side) for v in (x * 255 // side, y * 255 // side, (x ^ y) & 255)) for y in range(side))
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                       + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
END
  echo "a disc" >"$folder/disc.txt"
}

# What one step and what `steps` more take: "LABEL  wall s, processor s, peak".
lowrank_steps() {  # LABEL SIZE OPTIONS…
  python3 - "$1" "$steps" "$lowrank" train lora --data-dir "$work" --pretrained-model "$model" \
    --train-data-dir "$work/train-$2" --resolution "$2" --output-dir "$work/train-out" --output-name bench --fresh \
    --network-train-unet-only --network-dim 16 --network-alpha 16 --cache-latents-to-disk --threads "$threads" \
    --quiet "${@:3}" <<'END'
import os, subprocess, sys, time
label, steps, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
def run(count):
    start = time.time()
    process = subprocess.Popen(command + ["--max-train-steps", str(count)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{label}failed: {said[-600:]}")
    return time.time() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
short, long = run(1), run(1 + steps)
wall, processor = ((b - a) / steps for a, b in zip(short[:2], long[:2]))
print(f"{label:42}{wall:8.2f} s a step, {processor:.2f} s of processor time; peak {max(short[2], long[2]):.2f} GB", flush=True)
END
}

lscpu | sed -n 's/^Model name: */machine           /p'
echo "$like, $threads threads, $steps steps after the first"
for size in $sizes; do
  pictures "$size"
  for part in $parts; do
    echo "load              $(cut -d' ' -f1-3 /proc/loadavg)"
    options=()
    [[ $part == *bf16* ]] && options+=(--mixed-precision bf16)
    [[ $part == *checkpointing ]] && options+=(--gradient-checkpointing)
    case $part in
      torch*)
        if [ -z "${PYTHON:-}" ]; then
          echo "PyTorch and PEFT are absent (PYTHON names no interpreter)"
        else
          "$PYTHON" bench/pytorch.py "$size" "$steps" "$threads" "train${part#torch}" "$like" || echo "$part failed"
        fi ;;
      *) lowrank_steps "LowRank, $part, ${size}x$size" "$size" "${options[@]}" || true ;;
    esac
  done
done
