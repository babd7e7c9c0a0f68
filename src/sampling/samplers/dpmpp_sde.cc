#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

// One exponential step sigma → to with prediction D, ancestral split and Brownian noise:
//   x ← (down/sigma)·x − expm1(t(sigma) − t(down))·D + B·up
at::Tensor sde_step(const at::Tensor& x, const at::Tensor& denoised, float sigma, float to,
                    StepContext& context) {
  const auto [down, up] = ancestral_step(sigma, to, context.eta());
  const float t = time_of(sigma), t_down = time_of(down);
  const at::Tensor walked = x * (sigma_of(t_down) / sigma) - denoised * std::expm1(t - t_down);
  return walked + context.noise_between(sigma, to) * context.settings.s_noise * up;
}

}  // namespace

// DPM-Solver++(2S) as an SDE with r = ½: to the middle s with D, then the whole step with D at the middle
// (the mix of both predictions has weight 0 for the first). Source: Lu et al. (arXiv:2211.01095) with noise
// after SEEDS.
at::Tensor sample_dpmpp_sde(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    if (to == 0) {
      x = x + derivative(x, from, denoised) * (to - from);
    } else {
      const float t = time_of(from), h = time_of(to) - t;
      const float sigma = sigma_of(t), middle = sigma_of(t + h / 2);
      const at::Tensor x2 = sde_step(x, denoised, sigma, middle, context);
      x = sde_step(x, denoiser.denoise(x2, middle), sigma, sigma_of(t + h), context);
    }
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
