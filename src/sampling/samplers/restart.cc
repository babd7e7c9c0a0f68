#include <algorithm>

#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"
#include "sampling/schedules.h"

namespace lowrank::sampling {

namespace {

constexpr float kRestartMin = 0.1F, kRestartMax = 2.0F;

std::size_t nearest(std::span<const float> sigmas, float level) {
  const auto closer = [level](float a, float b) { return std::abs(a - level) < std::abs(b - level); };
  return static_cast<std::size_t>(std::ranges::min_element(sigmas, closer) - sigmas.begin());
}

// All steps of the walk: down the schedule, and from the level nearest 0.1 back up to the one nearest 2.0 and
// down again, `times` times. The number of levels is taken off the schedule beforehand.
std::vector<SigmaStep> restart_steps(std::vector<float> sigmas) {
  const int steps = static_cast<int>(sigmas.size()) - 1;
  if (steps < 20) return sigma_steps(sigmas);
  const int length = steps >= 36 ? steps / 4 : 9, times = steps >= 36 ? 2 : 1;
  sigmas = karras_sigmas(steps - length * times, sigmas[sigmas.size() - 2], sigmas.front());

  const std::size_t low = nearest(sigmas, kRestartMin), high = nearest(sigmas, kRestartMax);
  std::vector<SigmaStep> all;
  for (const auto& step : sigma_steps(sigmas)) {
    all.push_back(step);
    if (step.index + 1 != low || high >= low) continue;
    auto again = karras_sigmas(length + 1, sigmas[low], sigmas[high]);
    again.pop_back();  // the 0
    for (int time = 0; time < times; ++time) std::ranges::copy(sigma_steps(again), std::back_inserter(all));
  }
  return all;
}

}  // namespace

// Heun steps with returns to a higher noise level. Source: Xu et al. 2023 (arXiv:2306.14878), A1111's list of
// returns.
at::Tensor sample_restart(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto steps = restart_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  float level = steps.empty() ? 0 : steps.front().from;
  for (const auto& [i, from, to] : steps) {
    if (level < from)
      x = x + context.noise() * context.settings.s_noise * std::sqrt(from * from - level * level);
    const auto denoised = denoiser.denoise(x, from);
    at::Tensor d = derivative(x, from, denoised);
    if (to > 0) {
      const at::Tensor x2 = x + d * (to - from);
      d = (d + derivative(x2, to, denoiser.denoise(x2, to))) / 2;
    }
    x = x + d * (to - from);
    level = to;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
