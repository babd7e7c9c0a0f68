#!/usr/bin/env python3
"""One picture's parts with diffusers in PyTorch on the CPU: what bench/run.sh prints beside LowRank.

  pytorch.py SIZE STEPS THREADS [eager|channels-last|compile|openvino] [sd15|sdxl] [float32|bf16]
  pytorch.py SIZE STEPS THREADS train[-bf16][-checkpointing] [sd15|sdxl]

The second measures steps of a LoRA's training with PEFT (bench/train.sh).

With bf16 the U-Net is PyTorch's in bfloat16, and OpenVINO infers it in bfloat16; the VAE stays float32, as LowRank's does.
The shapes are those of Stable Diffusion 1.5 or SDXL; only time and memory are of interest, so the weights are random.
OpenVINO runs SDXL as its users do: converted first, by a process of its own, into a file of 16-bit weights in
$TMPDIR, which is read for the measurement. A part that needs more memory than there is is said not to fit.
"""
import gc
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

size, steps, threads = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
mode = sys.argv[4] if len(sys.argv) > 4 else "eager"
like = sys.argv[5] if len(sys.argv) > 5 else "sd15"
precision = sys.argv[6] if len(sys.argv) > 6 else "float32"
torch.set_num_threads(threads)
torch.manual_seed(0)

SDXL = dict(sample_size=128, cross_attention_dim=2048, attention_head_dim=(5, 10, 20), block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10), projection_class_embeddings_input_dim=2816,
            addition_embed_type="text_time", addition_time_embed_dim=256, use_linear_projection=True)
SD15 = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)


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

    def forward(self, latents, timestep, text, pooled=None, numbers=None):
        added = None if pooled is None else {"text_embeds": pooled, "time_ids": numbers}
        return self.unet(latents, timestep, text, added_cond_kwargs=added, return_dict=False)[0]


def filled(make):
    """A module of random weights: what PyTorch draws for each layer on its own takes minutes at SDXL's size."""
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device="cpu")
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            bound = parameter[0].numel() ** -0.5
            torch.nn.init.uniform_(parameter, -bound, bound)
        else:
            torch.nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    return module.eval()


def unet():
    return Noise(filled(lambda: UNet2DConditionModel(**(SDXL if like == "sdxl" else SD15))))


def unet_inputs(side):
    text = torch.randn(2, 77, 2048 if like == "sdxl" else 768)
    inputs = (torch.randn(2, 4, side, side), torch.tensor([500]), text)
    return inputs + (torch.randn(2, 1280), torch.full((2, 6), 8.0 * side)) if like == "sdxl" else inputs


def vae():
    return Decoder(filled(lambda: AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)))


def vae_inputs(side):
    return (torch.randn(1, 4, side, side),)


PARTS = {"unet": (unet, unet_inputs), "vae": (vae, vae_inputs)}


def convert(part, file):
    """In a process of its own: what PyTorch took is then given back."""
    import openvino
    make, inputs = PARTS[part]
    openvino.save_model(openvino.convert_model(make(), example_input=inputs(32)), file, compress_to_fp16=True)


def openvino_program(part, example):
    import openvino
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if is_bf16(part) else "f32"})
    if like != "sdxl":
        model = openvino.convert_model(PARTS[part][0](), example_input=example)
    else:
        file = pathlib.Path(tempfile.gettempdir()) / f"openvino-{like}-{part}.xml"
        if not file.exists():
            subprocess.run([sys.executable, __file__, *sys.argv[1:4], f"convert:{part}:{file}", like], check=True)
        model = core.read_model(file)
        model.reshape({i: list(x.shape) for i, x in enumerate(example)})
    compiled = core.compile_model(model, "CPU")
    return lambda *inputs: compiled([x.numpy() for x in inputs])


def is_bf16(part):
    return precision == "bf16" and part == "unet"


def prepared(part, example):
    """The part as `mode` runs it, called once."""
    if mode == "openvino":
        run = openvino_program(part, example)
        run(*example)
        return run
    module = PARTS[part][0]()
    if is_bf16(part):
        module = module.to(torch.bfloat16)
    if mode in ("channels-last", "compile"):
        module = module.to(memory_format=torch.channels_last)
    if mode == "compile":
        module = torch.compile(module)
    module(*example)
    return module


def measured(part, repetitions):
    """Fastest and mean, and the processor time of both of the last call."""
    example = PARTS[part][1](size // 8)
    if is_bf16(part) and mode != "openvino":  # but the timestep, which counts
        example = tuple(x if x.dtype == torch.int64 else x.to(torch.bfloat16) for x in example)
    run = prepared(part, example)
    times = []
    for _ in range(repetitions):
        start, start_cpu = time.perf_counter(), time.process_time()
        run(*example)
        times.append(time.perf_counter() - start)
        processor = time.process_time() - start_cpu
    return min(times), sum(times) / len(times), processor


def train():
    """Steps of a LoRA of rank 16 on attention and feed-forward, batch 1: mean wall and processor time after a first one."""
    import peft
    net = filled(lambda: UNet2DConditionModel(**(SDXL if like == "sdxl" else SD15))).requires_grad_(False)
    net = peft.inject_adapter_in_model(peft.LoraConfig(
        r=16, lora_alpha=16, target_modules=["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]), net).train()
    if mode.endswith("checkpointing"):
        net.enable_gradient_checkpointing()
    noise = Noise(net)
    learned = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=1e-4)
    inputs = [t if i == 1 else t[:1] for i, t in enumerate(unet_inputs(size // 8))]
    target = torch.randn(1, 4, size // 8, size // 8)
    for step in range(steps + 1):
        if step == 1:
            start, start_cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in mode):
            predicted = noise(*inputs)
        torch.nn.functional.mse_loss(predicted.float(), target).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return (time.perf_counter() - start) / steps, (time.process_time() - start_cpu) / steps


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


if mode.startswith("convert:"):
    with torch.no_grad():
        convert(*mode.split(":", 2)[1:])
    sys.exit(0)

if mode.startswith("train"):
    wall, processor = train()
    label = f"PyTorch {torch.__version__}, PEFT, {mode[6:] or 'float32'}, {size}x{size}"
    print(f"{label:42}{wall:8.2f} s a step, {processor:.2f} s of processor time; peak {peak():.2f} GB", flush=True)
    sys.exit(0)

print(f"torch             {torch.__version__}, {mode}, {like}, {precision}, {threads} threads", flush=True)
# What does not fit fails by itself, before the system ends other programs.
limit = int(available() - 0.7e9)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
with torch.no_grad():
    for part, label, repetitions in (("unet", "CFG step          ", steps), ("vae", "VAE decode        ", 1)):
        try:
            best, mean, processor = measured(part, repetitions)
            print(f"{label}{best:8.3f} s fastest, {mean:.3f} s mean of {repetitions}, {processor:.3f} s of processor time; "
                  f"peak {peak():.2f} GB", flush=True)
        except (MemoryError, RuntimeError) as error:
            print(f"{label}does not fit into {limit / 1e9:.1f} GB (peak {peak():.2f} GB): {str(error).splitlines()[0][:120]}",
                  flush=True)
        gc.collect()
print(f"peak memory       {peak():8.3f} GB")
