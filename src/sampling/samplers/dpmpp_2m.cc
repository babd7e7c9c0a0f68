#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

// DPM-Solver++(2M) (arXiv:2211.01095): D extrapolated from the last two predictions, r = h_last/h.
//   D̃ = (1 + 1/2r)·D − D_old/2r        x ← (to/sigma)·x − expm1(−h)·D̃
at::Tensor sample_dpmpp_2m(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  at::Tensor old_denoised;
  float h_last = 0;
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    const float h = time_of(to) - time_of(from);
    at::Tensor mixed = denoised;
    if (old_denoised.defined() && to > 0) {
      const float r = h_last / h;
      mixed = denoised * (1 + 1 / (2 * r)) - old_denoised * (1 / (2 * r));
    }
    x = x * (to / from) - mixed * std::expm1(-h);
    old_denoised = denoised;
    h_last = h;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
