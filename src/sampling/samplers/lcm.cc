#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

// Latent consistency sampling (arXiv:2310.04378): every prediction is a finished picture; it is noised again
// to the next level. The boundary terms are the denoiser's (NoiseTable::lcm()).
at::Tensor sample_lcm(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    x = to > 0 ? denoised + context.noise() * to : denoised;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
