// What a sampler is given and the shape of its function.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "sampling/denoiser.h"
#include "sampling/step_context.h"

namespace lowrank::sampling {

// The way to walk. Sigma samplers use `sigmas` (falling, normally ending in 0), DPM fast and adaptive the
// range and `steps`, timestep samplers `timesteps` (rising; walked from the back; the first is a target alone).
struct Walk {
  std::vector<float> sigmas = {};
  std::vector<int> timesteps = {};
  int stride = 0;             // of timesteps: how far down a step goes; 0: to the next one
  bool is_scheduled = false;  // timesteps of a schedule, not A1111's list
  float sigma_min = 0, sigma_max = 0;
  int steps = 0;
  bool from_image = false;  // the walk begins part-way, from a noised picture (img2img)
};

// Walks from x [n, 4, h, w] (already at the first noise level) to the end and returns the latent there.
using SamplerFunction = at::Tensor (*)(Denoiser& denoiser, at::Tensor x, const Walk& walk,
                                       StepContext& context);

}  // namespace lowrank::sampling
