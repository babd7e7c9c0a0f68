#!/usr/bin/env python3
"""One picture's parts with diffusers in PyTorch, float32, on the CPU: what bench/run.sh prints beside LowRank.

  pytorch.py SIZE STEPS THREADS [eager|channels-last|compile|openvino]

The shapes are those of Stable Diffusion 1.5; only time and memory are of interest, so the weights are random.
"""
import resource
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

size, steps, threads = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
mode = sys.argv[4] if len(sys.argv) > 4 else "eager"
torch.set_num_threads(threads)
torch.manual_seed(0)


class Decoder(torch.nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, latent):
        return self.vae.decode(latent, return_dict=False)[0]


class Noise(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, latents, timestep, text):
        return self.unet(latents, timestep, text, return_dict=False)[0]


def prepared(module, example):
    """The module as `mode` runs it, called once."""
    module = module.eval()
    if mode in ("channels-last", "compile"):
        module = module.to(memory_format=torch.channels_last)
    if mode == "compile":
        module = torch.compile(module)
    if mode == "openvino":
        import openvino
        core = openvino.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})
        compiled = core.compile_model(openvino.convert_model(module, example_input=example), "CPU")
        return lambda *inputs: compiled([x.numpy() for x in inputs])
    if mode != "eager":
        module(*example)
    return module


def fastest(function, example, repetitions):
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function(*example)
        times.append(time.perf_counter() - start)
    return min(times), sum(times) / len(times)


print(f"torch             {torch.__version__}, {mode}, {threads} threads", flush=True)
with torch.no_grad():
    unet = Noise(UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8))
    example = (torch.randn(2, 4, size // 8, size // 8), torch.tensor([500]), torch.randn(2, 77, 768))
    best, mean = fastest(prepared(unet, example), example, steps)
    print(f"CFG step          {best:8.3f} s fastest, {mean:.3f} s mean of {steps}", flush=True)
    del unet
    vae = Decoder(AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4))
    example = (torch.randn(1, 4, size // 8, size // 8),)
    best, _ = fastest(prepared(vae, example), example, 1)
    print(f"VAE decode        {best:8.3f} s", flush=True)
print(f"peak memory       {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:8.3f} GB")
