#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

// The whole step with the direction at the geometric middle of both levels. Source: DPM-Solver-2
// (arXiv:2206.00927).
at::Tensor midpoint_step(Denoiser& denoiser, const at::Tensor& x, const at::Tensor& d, float from, float to) {
  const float middle = std::exp((std::log(from) + std::log(to)) / 2);
  const at::Tensor x2 = x + d * (middle - from);
  return x + derivative(x2, middle, denoiser.denoise(x2, middle)) * (to - from);
}

}  // namespace

at::Tensor sample_dpm_2(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const float sigma = churn(x, from, steps.size(), context);
    const auto denoised = denoiser.denoise(x, sigma);
    const at::Tensor d = derivative(x, sigma, denoised);
    x = to == 0 ? x + d * (to - sigma) : midpoint_step(denoiser, x, d, sigma, to);
    context.step_done(denoised);
  }
  return x;
}

at::Tensor sample_dpm_2_ancestral(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    const auto [down, up] = ancestral_step(from, to, context.eta());
    const at::Tensor d = derivative(x, from, denoised);
    if (down == 0) {
      x = x + d * (down - from);
    } else {
      x = midpoint_step(denoiser, x, d, from, down) + context.noise() * context.settings.s_noise * up;
    }
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
