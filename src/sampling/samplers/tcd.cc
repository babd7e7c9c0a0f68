#include <cmath>

#include "base/error.h"
#include "sampling/samplers/samplers.h"
#include "sampling/samplers/timestep_walk.h"

namespace lowrank::sampling {

// Trajectory consistency sampling: from t the network's answer leads to s = ⌊(1 − eta)·t'⌋, below the next timestep t', and
// fresh noise lifts the latent from there to t'; after the last step it stays where it is.
//   x_s = √ᾱs·x₀ + √(1−ᾱs)·ε        x ← √(ᾱ'/ᾱs)·x_s + √(1 − ᾱ'/ᾱs)·ξ
// Source: arXiv:2402.19159, algorithm 4 (eta is its gamma); numbers as diffusers' TCDScheduler.
at::Tensor sample_tcd(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto eta = static_cast<float>(context.eta());
  if (!(eta >= 0 && eta <= 1))
    throw Error(kBadInput, "eta is {}, but the sampler TCD takes 0 to 1.", context.eta());
  const auto alphas = denoiser.table().alphas_cumprod();
  const auto steps = timestep_steps(walk, denoiser.table());
  context.begin(static_cast<int>(steps.size()));
  for (const auto& step : steps) {
    const at::Tensor eps = denoiser.predict_eps(x, step.timestep).guided;
    const at::Tensor x0 = predicted_x0(x, eps, step);
    const float alpha = alphas[static_cast<std::size_t>(std::floor((1 - eta) * step.next_timestep))];
    x = x0 * std::sqrt(alpha) + eps * std::sqrt(1 - alpha);
    if (eta > 0 && &step != &steps.back()) {
      const float kept = step.alpha_prev / alpha;
      x = x * std::sqrt(kept) + context.noise() * std::sqrt(1 - kept);
    }
    context.step_done(x0);
  }
  return x;
}

}  // namespace lowrank::sampling
