#include <algorithm>
#include <deque>

#include "sampling/samplers/samplers.h"
#include "sampling/samplers/steps.h"

namespace lowrank::sampling {

namespace {

constexpr std::size_t kOrder = 4;

// ∫ from sigmas[i] to sigmas[i+1] of Π_{k≠j} (τ − sigmas[i−k]) / (sigmas[i−j] − sigmas[i−k]) dτ, k < order.
// The integrand is a cubic at most, for which Gauss-Legendre with two points is exact.
double multistep_coefficient(std::span<const float> sigmas, std::size_t i, std::size_t j, std::size_t order) {
  const auto polynomial = [&](double tau) {
    double product = 1;
    for (std::size_t k = 0; k < order; ++k) {
      if (k == j) continue;
      product *= (tau - sigmas[i - k]) / (static_cast<double>(sigmas[i - j]) - sigmas[i - k]);
    }
    return product;
  };
  const double middle = (static_cast<double>(sigmas[i + 1]) + sigmas[i]) / 2;
  const double half = (static_cast<double>(sigmas[i + 1]) - sigmas[i]) / 2;
  const double node = half / std::sqrt(3.0);
  return half * (polynomial(middle - node) + polynomial(middle + node));
}

}  // namespace

// Linear multistep: the last four directions, extrapolated by the polynomial through them.
at::Tensor sample_lms(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  std::deque<at::Tensor> directions;  // newest first
  const auto steps = sigma_steps(walk.sigmas);
  context.begin(static_cast<int>(steps.size()));
  for (const auto& [i, from, to] : steps) {
    const auto denoised = denoiser.denoise(x, from);
    directions.push_front(derivative(x, from, denoised));
    if (directions.size() > kOrder) directions.pop_back();
    const std::size_t order = std::min(i + 1, kOrder);
    at::Tensor change;
    for (std::size_t j = 0; j < order; ++j) {
      const at::Tensor term = directions[j] * multistep_coefficient(walk.sigmas, i, j, order);
      change = change.defined() ? change + term : term;
    }
    x = x + change;
    context.step_done(denoised);
  }
  return x;
}

}  // namespace lowrank::sampling
