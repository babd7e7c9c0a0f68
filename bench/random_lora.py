#!/usr/bin/env python3
"""Writes a LoRA of random numbers for every linear layer of Stable Diffusion 1.5's U-Net in kohya's naming, float16:
what bench/run.sh measures the cost of a LoRA with. Needs numpy and safetensors.

  random_lora.py OUT [RANK]
"""
import sys

import numpy as np
from safetensors.numpy import save_file

rank = int(sys.argv[2]) if len(sys.argv) > 2 else 32
random = np.random.default_rng(1)
state = {}


def pair(name, inputs, outputs, kernel=()):
    state[f"{name}.lora_down.weight"] = (random.standard_normal((rank, inputs, *kernel)) * 0.01).astype(np.float16)
    state[f"{name}.lora_up.weight"] = (random.standard_normal((outputs, rank, *kernel)) * 0.01).astype(np.float16)
    state[f"{name}.alpha"] = np.array(rank, dtype=np.float16)


def transformer(block, width):
    pair(f"{block}_proj_in", width, width, (1, 1))
    pair(f"{block}_proj_out", width, width, (1, 1))
    t = f"{block}_transformer_blocks_0"
    for attention, source in (("attn1", width), ("attn2", 768)):
        pair(f"{t}_{attention}_to_q", width, width)
        pair(f"{t}_{attention}_to_k", source, width)
        pair(f"{t}_{attention}_to_v", source, width)
        pair(f"{t}_{attention}_to_out_0", width, width)
    pair(f"{t}_ff_net_0_proj", width, 8 * width)
    pair(f"{t}_ff_net_2", 4 * width, width)


for level, width in enumerate((320, 640, 1280)):
    for n in range(2):
        transformer(f"lora_unet_down_blocks_{level}_attentions_{n}", width)
    for n in range(3):
        transformer(f"lora_unet_up_blocks_{3 - level}_attentions_{n}", width)
transformer("lora_unet_mid_block_attentions_0", 1280)
save_file(state, sys.argv[1])
