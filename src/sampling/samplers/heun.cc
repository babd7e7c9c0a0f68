#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

// Euler, then the mean of the directions at both ends. Source: Karras et al. 2022 (arXiv:2206.00364),
// algorithm 2.
at::Tensor sample_heun(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const float sigma = churn(x, from, steps.size(), context);
    const auto denoised = denoiser.denoise(x, sigma);
    at::Tensor d = derivative(x, sigma, denoised);
    if (to > 0) {
      const at::Tensor x2 = x + d * (to - sigma);
      d = (d + derivative(x2, to, denoiser.denoise(x2, to))) / 2;
    }
    x = x + d * (to - sigma);
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
