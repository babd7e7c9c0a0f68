#!/usr/bin/env bash
# With timestep_spacing="trailing", diffusers' schedulers make one step too many for some numbers of steps, and DDIM's picture
# is then destroyed.
#
# The list of timesteps is np.round(np.arange(1000, 0, -1000 / n)) - 1. The length of an arange is the rounded-up quotient in
# floating point, which for 61, 103, 121, 122 … steps comes out just above n: the list gets an entry of about 0 more, and after
# the subtraction it ends in timestep -1. The schedulers take it for a timestep like any other. EulerDiscreteScheduler and
# DPMSolverMultistepScheduler call the network once more, at time -1, where it was never trained; DDIMScheduler looks up
# alphas_cumprod[-1], which in PyTorch is the last entry, the level of noise alone, and divides by its root: it adds 15 times the
# error of the answer to the finished picture. Nothing warns. Seen on 2026-11-28 with diffusers 0.42.1, torch 2.15.0, numpy 2.4.6,
# where a formula stands for the network that answers the exact noise in its input:
#
#   steps asked   steps made   last timestep   DDIM's largest error   (latents of deviation 1)
#   60            60           16              0.11
#   61            62           -1              79
#   62            62           15              0.10
#   103           104          -1              86
#
# Fetches some 3 GB from PyPI into a temporary folder (its torch brings CUDA's libraries); ends with 1 when what is seen changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install torch==2.15.0 diffusers==0.42.1 numpy==2.4.6
cat > "$work/run.py" <<'PY'
import sys

import torch
from diffusers import DDIMScheduler


def run(steps):
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                              set_alpha_to_one=False, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    picture = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for t in scheduler.timesteps:
        alpha = scheduler.alphas_cumprod[max(int(t), 0)]
        x = scheduler.step((x - alpha.sqrt() * picture) / (1 - alpha).sqrt(), t, x).prev_sample
    return len(scheduler.timesteps), int(scheduler.timesteps[-1]), float((x - picture).abs().max())


good, bad = [60, 62], [61, 103]
seen = {steps: run(steps) for steps in good + bad}
for steps, (made, last, error) in seen.items():
    print(f"{steps} steps asked, {made} made, the last at {last}, largest error {error:.2f}")
as_described = all(seen[n][0] == n and seen[n][2] < 1 for n in good) and all(
    seen[n][0] == n + 1 and seen[n][1] == -1 and seen[n][2] > 10 for n in bad)
sys.exit(0 if as_described else 1)
PY
"$work/venv/bin/python" "$work/run.py" 2>/dev/null
