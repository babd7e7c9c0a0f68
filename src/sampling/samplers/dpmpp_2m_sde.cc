#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

enum class Solver { kMidpoint, kHeun };

// DPM-Solver++(2M) SDE (arXiv:2211.01095) with E = 1 − e^(−h−ηh) and r = h_last/h:
//   x ← (to/sigma)·e^(−ηh)·x + E·D + c·(D − D_old)/r + B·to·√(1 − e^(−2ηh))
// where c = E/2 (midpoint) or E/(−h−ηh) + 1 (Heun).
at::Tensor sample_2m_sde(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context,
                         Solver solver) {
  const auto eta = static_cast<float>(context.eta());
  at::Tensor old_denoised;
  float h_last = 0;
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    if (to == 0) {
      x = denoised;
    } else {
      const float h = time_of(to) - time_of(from), eta_h = eta * h;
      const float e = -std::expm1(-h - eta_h);
      x = x * (to / from * std::exp(-eta_h)) + denoised * e;
      if (old_denoised.defined()) {
        const float c = solver == Solver::kHeun ? e / (-h - eta_h) + 1 : e / 2;
        x = x + (denoised - old_denoised) * (c * (h / h_last));
      }
      if (eta != 0) {
        const float size = to * std::sqrt(-std::expm1(-2 * eta_h));
        x = x + context.noise_between(from, to) * size * context.settings.s_noise;
      }
      h_last = h;
    }
    old_denoised = denoised;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace

at::Tensor sample_dpmpp_2m_sde(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  return sample_2m_sde(denoiser, std::move(x), walk, context, Solver::kMidpoint);
}

at::Tensor sample_dpmpp_2m_sde_heun(Denoiser& denoiser, at::Tensor x, const Walk& walk,
                                    StepContext& context) {
  return sample_2m_sde(denoiser, std::move(x), walk, context, Solver::kHeun);
}

}  // namespace lowrank::sampling
