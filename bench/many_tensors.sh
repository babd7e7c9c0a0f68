#!/usr/bin/env bash
# What a file of a million tensors costs: time and memory of `lora inspect`, `lora list` and `model inspect` on one, the most
# that the format's own limit lets through. The header holds 97 MB. Prints seconds and peak memory; asserts nothing.
#   bench/many_tensors.sh [PROGRAM]
set -euo pipefail
program=$(realpath "${1:-build/dev/bin/lowrank}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/models/Lora"
python3 - "$folder/models/Lora/million.safetensors" <<'PYTHON'
import struct, sys
parts, at = [], 0
for i in range(1_000_000):
    module, part = divmod(i, 2)
    name = "lora_unet_m%06d.lora_%s.weight" % (module, ("down", "up")[part])
    parts.append('"%s":{"dtype":"F16","shape":[1,1],"data_offsets":[%d,%d]}' % (name, at, at + 2))
    at += 2
header = ("{" + ",".join(parts) + "}").encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + bytes(at))
print("header of %d bytes" % len(header))
PYTHON
run() {
  python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
begin = time.time()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
words = (done.stdout + done.stderr).strip().splitlines()
print("%-28s %5.2f s %6.1f MB  exit %d  %s" % (" ".join(sys.argv[2:4]), time.time() - begin, peak / 1024, done.returncode,
                                              words[-1][:120] if words else ""))
PYTHON
}
export LOWRANK_INDEX="$folder/index.db"
run "$program" lora inspect "$folder/models/Lora/million.safetensors" --data-dir "$folder"
run "$program" lora inspect "$folder/models/Lora/million.safetensors" --data-dir "$folder"
run "$program" lora list --data-dir "$folder"
run "$program" model inspect "$folder/models/Lora/million.safetensors" --data-dir "$folder"
