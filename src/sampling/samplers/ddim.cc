#include <cmath>

#include "sampling/samplers/samplers.h"
#include "sampling/samplers/timestep_walk.h"

namespace lowrank::sampling {
namespace {

// CFG++ maps guidance scales 0…12.5 to 0…1.
constexpr double kCfgppScale = 1 / 12.5;
enum class Direction { kGuided, kUncond };

// Size of the fresh noise: eta·√((1−ᾱp)/(1−ᾱ)·(1−ᾱ/ᾱp)). Source: DDIM (arXiv:2010.02502) eq. 16.
float noise_size(const TimestepStep& step, double eta) {
  const double alpha = step.alpha, prev = step.alpha_prev;
  return static_cast<float>(eta * std::sqrt((1 - prev) / (1 - alpha) * (1 - alpha / prev)));
}

// x ← √ᾱp·x₀ + √(1−ᾱp−s²)·direction + s·ξ. Draws ξ in each step, also for s = 0 (Note [noise order]).
at::Tensor walk_ddim(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context,
                     Direction direction) {
  const bool is_cfgpp = direction == Direction::kUncond;
  const auto steps = timestep_steps(walk, denoiser.table());
  context.begin(static_cast<int>(steps.size()));
  for (const auto& step : steps) {
    const auto eps =
        is_cfgpp ? denoiser.predict_eps(x, step.timestep, kCfgppScale, Denoiser::Need::kGuidedAndUncond)
                 : denoiser.predict_eps(x, step.timestep);
    const float s = noise_size(step, context.eta());
    const at::Tensor x0 = predicted_x0(x, eps.guided, step);
    x = step_to_prev(x0, is_cfgpp ? eps.uncond : eps.guided, step, s) + context.noise() * s;
    context.step_done(x0);
  }
  return x;
}

}  // namespace

at::Tensor sample_ddim(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  return walk_ddim(denoiser, std::move(x), walk, context, Direction::kGuided);
}

// Source: CFG++ (arXiv:2406.08070): the guided eps finds the picture, the unconditional one leads on.
at::Tensor sample_ddim_cfgpp(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  return walk_ddim(denoiser, std::move(x), walk, context, Direction::kUncond);
}

}  // namespace lowrank::sampling
