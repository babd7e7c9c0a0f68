#include "pipeline/generate/refiner.h"

#include <ATen/ATen.h>

#include <cmath>

namespace lowrank::pipeline {
namespace {

// The table's entry nearest to the noise level of a fractional timestep, in sigma.
int nearest_entry(const sampling::NoiseTable& table, float timestep) {
  const float sigma = table.sigma_at(timestep);
  const auto sigmas = table.sigmas();
  std::size_t best = 0;
  for (std::size_t i = 1; i < sigmas.size(); ++i)
    if (std::abs(sigmas[i] - sigma) < std::abs(sigmas[best] - sigma)) best = i;
  return static_cast<int>(best);
}

}  // namespace

bool RefinerRule::is_due(float timestep, int call) const {
  if (by_steps) return total_calls > 0 && static_cast<double>(call) / total_calls >= switch_at;
  // A timestep sampler's t may lie between two entries (UniPC); the web UI cuts it off.
  const int t = is_timestep_sampler ? static_cast<int>(timestep) : nearest_entry(*table, timestep);
  return (999 - t) / 1000.0 >= switch_at;
}

at::Tensor RefinedModel::predict(const at::Tensor& x, const at::Tensor& timesteps,
                                 std::span<const sampling::BranchRow> rows, int call) {
  if (!has_switched_ && rule_.is_due(timesteps[0].item<float>(), call)) {
    has_switched_ = true;
    if (on_switch_) on_switch_();
  }
  return (has_switched_ ? refiner_ : base_).predict(x, timesteps, rows, call);
}

}  // namespace lowrank::pipeline
