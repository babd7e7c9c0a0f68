#!/usr/bin/env python3
"""Writes a LoRA of random numbers for every linear layer of Stable Diffusion 1.5's or SDXL's U-Net in kohya's naming,
float16: what bench/run.sh measures the cost of a LoRA with. Needs numpy and safetensors.

  random_lora.py OUT [RANK] [sd15|sdxl]
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


def transformer(block, width, context, depth, kernel):
    pair(f"{block}_proj_in", width, width, kernel)
    pair(f"{block}_proj_out", width, width, kernel)
    for n in range(depth):
        t = f"{block}_transformer_blocks_{n}"
        for attention, source in (("attn1", width), ("attn2", context)):
            pair(f"{t}_{attention}_to_q", width, width)
            pair(f"{t}_{attention}_to_k", source, width)
            pair(f"{t}_{attention}_to_v", source, width)
            pair(f"{t}_{attention}_to_out_0", width, width)
        pair(f"{t}_ff_net_0_proj", width, 8 * width)
        pair(f"{t}_ff_net_2", 4 * width, width)


def sd15():
    for level, width in enumerate((320, 640, 1280)):
        for n in range(2):
            transformer(f"lora_unet_down_blocks_{level}_attentions_{n}", width, 768, 1, (1, 1))
        for n in range(3):
            transformer(f"lora_unet_up_blocks_{3 - level}_attentions_{n}", width, 768, 1, (1, 1))
    transformer("lora_unet_mid_block_attentions_0", 1280, 768, 1, (1, 1))


def sdxl():
    for level, (width, depth) in enumerate(((640, 2), (1280, 10)), start=1):
        for n in range(2):
            transformer(f"lora_unet_input_blocks_{3 * level + n + 1}_1", width, 2048, depth, ())
        for n in range(3):
            transformer(f"lora_unet_output_blocks_{3 * (2 - level) + n}_1", width, 2048, depth, ())
    transformer("lora_unet_middle_block_1", 1280, 2048, 10, ())


{"sd15": sd15, "sdxl": sdxl}[sys.argv[3] if len(sys.argv) > 3 else "sd15"]()
save_file(state, sys.argv[1])
