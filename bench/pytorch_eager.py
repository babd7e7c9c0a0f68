#!/usr/bin/env python3
"""One picture with diffusers in PyTorch eager, float32, on the CPU: the reference that bench/run.sh prints beside LowRank.

  pytorch_eager.py SIZE STEPS THREADS

The shapes are those of Stable Diffusion 1.5; only time and memory are of interest, so the weights are random.
"""
import resource
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

size, steps, threads = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)
print(f"torch             {torch.__version__}, {threads} threads", flush=True)
with torch.no_grad():
    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()
    latents, text = torch.randn(2, 4, size // 8, size // 8), torch.randn(2, 77, 768)
    times = []
    for step in range(steps):
        start = time.perf_counter()
        unet(latents, torch.tensor([500]), text)
        times.append(time.perf_counter() - start)
    print(f"CFG step          {min(times):8.3f} s fastest, {sum(times) / len(times):.3f} s mean of {steps}", flush=True)
    del unet
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4).eval()
    start = time.perf_counter()
    vae.decode(torch.randn(1, 4, size // 8, size // 8))
    print(f"VAE decode        {time.perf_counter() - start:8.3f} s", flush=True)
print(f"peak memory       {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:8.3f} GB")
