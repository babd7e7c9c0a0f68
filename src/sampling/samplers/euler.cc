#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

// x += d·(to − sigma): one straight line per step. Source: Karras et al. 2022 (arXiv:2206.00364),
// algorithm 2.
at::Tensor sample_euler(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const float sigma = churn(x, from, steps.size(), context);
    const auto denoised = denoiser.denoise(x, sigma);
    x = x + derivative(x, sigma, denoised) * (to - sigma);
    context.step_done(denoised);
  }
  return x;
}

// Euler to `down`, then fresh noise of size `up` unless that was the last step.
at::Tensor sample_euler_ancestral(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    const auto [down, up] = ancestral_step(from, to, context.eta());
    x = x + derivative(x, from, denoised) * (down - from);
    if (to > 0) x = x + context.noise() * context.settings.s_noise * up;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
