// Numbers as vectors: what diffusion models are told of time, and SDXL's of sizes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowrank::model {

// Sinusoidal embedding of timesteps [B] → [B, width]: cos of t · 10000^(−i / half) for i < half, then sin.
// Source: CompVis latent-diffusion's order (cos first), after Vaswani et al. 2017.
at::Tensor timestep_embedding(const at::Tensor& timesteps, std::int64_t width);

}  // namespace lowrank::model
