#include "sampling/samplers/timestep_walk.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lowrank::sampling {

std::vector<TimestepStep> timestep_steps(const Walk& walk, const NoiseTable& table) {
  const auto alphas = table.alphas_cumprod();
  for (const int timestep : walk.timesteps) {
    LOWRANK_CHECK(timestep >= 0 && static_cast<std::size_t>(timestep) < alphas.size());
  }
  std::vector<TimestepStep> steps;
  for (std::size_t i = walk.timesteps.size(); i-- > 1;) {
    const int timestep = walk.timesteps[i],
              next = walk.stride > 0 ? std::max(timestep - walk.stride, 0) : walk.timesteps[i - 1];
    steps.push_back({.timestep = static_cast<float>(timestep),
                     .next_timestep = static_cast<float>(next),
                     .alpha = alphas[static_cast<std::size_t>(timestep)],
                     .alpha_prev = alphas[static_cast<std::size_t>(next)]});
  }
  return steps;
}

at::Tensor predicted_x0(const at::Tensor& x, const at::Tensor& eps, const TimestepStep& step) {
  return (x - eps * std::sqrt(1 - step.alpha)) / std::sqrt(step.alpha);
}

at::Tensor step_to_prev(const at::Tensor& x0, const at::Tensor& direction, const TimestepStep& step,
                        float s) {
  return x0 * std::sqrt(step.alpha_prev) + direction * std::sqrt(1 - step.alpha_prev - s * s);
}

}  // namespace lowrank::sampling
