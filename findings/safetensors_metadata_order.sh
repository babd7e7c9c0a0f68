#!/usr/bin/env bash
# The same tensors with the same metadata give another file each time they are saved: safetensors 0.8.0 writes
# `__metadata__` in the random order of a Rust hash map, also within one process. So the SHA-256 of a LoRA (Civitai's hash,
# A1111's AutoV2) tells nothing about equal content as soon as there are two metadata entries; the hash of what follows the
# header (AutoV3, sshs_model_hash) does. One entry, or none, is stable.
#
# Seen with safetensors 0.8.0 and numpy 2.4.6 on Python 3.11 (20 files saved for each number of entries):
#   metadata entries 0: 1 different files, 1 different tensor parts
#   metadata entries 1: 1 different files, 1 different tensor parts
#   metadata entries 4: 13 different files, 1 different tensor parts     (the number varies, 24 are possible)
#
# Exits 0 while that is so, 1 when the library has become deterministic.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import struct
import sys

import numpy
from safetensors.numpy import save

ENTRIES = {"title": "fox", "author": "ann", "steps": "100", "rank": "8"}
different = {}
for count in (0, 1, 4):
    metadata = dict(list(ENTRIES.items())[:count]) or None
    files = [save({"a": numpy.arange(4, dtype=numpy.float32)}, metadata=metadata) for _ in range(20)]
    tensor_parts = {hashlib.sha256(file[8 + struct.unpack_from("<Q", file)[0]:]).hexdigest() for file in files}
    different[count] = len({hashlib.sha256(file).hexdigest() for file in files})
    print(f"metadata entries {count}: {different[count]} different files, {len(tensor_parts)} different tensor parts")
    if len(tensor_parts) != 1:
        sys.exit(1)
sys.exit(0 if different[0] == different[1] == 1 and different[4] > 1 else 1)
PYTHON
