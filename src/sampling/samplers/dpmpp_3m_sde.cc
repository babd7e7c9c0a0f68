#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

struct Prediction3m {
  at::Tensor denoised;
  float h;  // of the step that was made from it
};

}  // namespace

// DPM-Solver++(3M) SDE: divided differences of the last three predictions, weighted with the φ functions of
// the exponential integrator. H = h(1+η), φ₂ = expm1(−H)/H + 1, φ₃ = φ₂/H − ½.
at::Tensor sample_dpmpp_3m_sde(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto eta = static_cast<float>(context.eta());
  std::vector<Prediction3m> old;  // newest last, two at most
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    if (to == 0) {
      x = denoised;
    } else {
      const float h = time_of(to) - time_of(from), h_eta = h * (eta + 1);
      x = x * std::exp(-h_eta) - denoised * std::expm1(-h_eta);
      const float phi2 = std::expm1(-h_eta) / h_eta + 1, phi3 = phi2 / h_eta - 0.5F;
      if (old.size() == 2) {
        const float r0 = old[1].h / h, r1 = old[0].h / h;
        const at::Tensor a = (denoised - old[1].denoised) / r0, b = (old[1].denoised - old[0].denoised) / r1;
        const at::Tensor d1 = a + (a - b) * r0 / (r0 + r1), d2 = (a - b) / (r0 + r1);
        x = x + d1 * phi2 - d2 * phi3;
      } else if (old.size() == 1) {
        x = x + (denoised - old[0].denoised) / (old[0].h / h) * phi2;
      }
      if (eta != 0) {
        const float size = to * std::sqrt(-std::expm1(-2 * h * eta));
        x = x + context.noise_between(from, to) * size * context.settings.s_noise;
      }
      if (old.size() == 2) old.erase(old.begin());
      old.push_back({denoised, h});
    }
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
