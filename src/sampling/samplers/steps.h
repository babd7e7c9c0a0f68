// The parts that several samplers share: the split of a step into a walk and fresh noise, churn, the
// derivative.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <span>
#include <vector>

#include "sampling/walk.h"

namespace lowrank::sampling {

// The steps of a walk: level i → level i + 1.
struct SigmaStep {
  std::size_t index;
  float from, to;
};
std::vector<SigmaStep> sigma_steps(std::span<const float> sigmas);

// Splits one fall in noise, `from` → `to`, into a deterministic walk to `down` and fresh noise of size `up`:
//
//   up   = min(to, eta · sqrt(to² (from² − to²) / from²))        down = sqrt(to² − up²)
//
// Requires from > to ≥ 0. eta = 0 gives {to, 0}: no noise at all. Sigmas are in latent units.
// Source: Song et al. 2020 (arXiv:2010.02502) eq. 16 written in sigma; equal to k-diffusion's ancestral step.
struct AncestralStep {
  float down, up;
};
AncestralStep ancestral_step(float from, float to, double eta);

// Raises x from `from` to a somewhat higher level with fresh noise and returns that level (Karras et al.
// 2022, alg. 2): from·(1 + gamma), gamma = min(s_churn/steps, √2 − 1) inside s_tmin…s_tmax, else 0. Draws
// noise even when gamma is 0 (see Note [noise order]).
float churn(at::Tensor& x, float from, std::size_t steps, StepContext& context);

// d = (x − D)/sigma, the direction of the walk in sigma.
inline at::Tensor derivative(const at::Tensor& x, float sigma, const at::Tensor& denoised) {
  return (x - denoised) / sigma;
}

// The time of the exponential integrators: t = −ln sigma.
inline float time_of(float sigma) {
  return -std::log(sigma);
}
inline float sigma_of(float time) {
  return std::exp(-time);
}

}  // namespace lowrank::sampling
