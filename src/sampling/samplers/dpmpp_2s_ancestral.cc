#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

// DPM-Solver++(2S) (arXiv:2211.01095) to `down`, then fresh noise. In t = −ln sigma, with h the step and its
// middle s:
//   x₂ = (sigma_s/sigma)·x − expm1(−h/2)·D          x ← (down/sigma)·x − expm1(−h)·D(x₂, sigma_s)
at::Tensor sample_dpmpp_2s_ancestral(Denoiser& denoiser, at::Tensor x, const Walk& walk,
                                     StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    const auto [down, up] = ancestral_step(from, to, context.eta());
    if (down == 0) {
      x = x + derivative(x, from, denoised) * (down - from);
    } else {
      const float t = time_of(from), h = time_of(down) - t;
      const float sigma = sigma_of(t), middle = sigma_of(t + h / 2);
      const at::Tensor x2 = x * (middle / sigma) - denoised * std::expm1(-h / 2);
      x = x * (sigma_of(t + h) / sigma) - denoiser.denoise(x2, middle) * std::expm1(-h);
    }
    if (to > 0) x = x + context.noise() * context.settings.s_noise * up;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
