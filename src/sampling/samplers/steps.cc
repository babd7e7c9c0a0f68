#include "sampling/samplers/steps.h"

#include <algorithm>

namespace lowrank::sampling {

std::vector<SigmaStep> sigma_steps(std::span<const float> sigmas) {
  std::vector<SigmaStep> steps;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) steps.push_back({i, sigmas[i], sigmas[i + 1]});
  return steps;
}

AncestralStep ancestral_step(float from, float to, double eta) {
  if (eta == 0) return {to, 0};
  const float room = std::sqrt(to * to * (from * from - to * to) / (from * from));
  const float up = std::min(to, static_cast<float>(eta) * room);
  return {std::sqrt(to * to - up * up), up};
}

float churn(at::Tensor& x, float from, std::size_t steps, StepContext& context) {
  const auto& s = context.settings;
  const bool applies = s.s_tmin <= from && from <= s.s_tmax;
  const double gamma = applies ? std::min(s.s_churn / static_cast<double>(steps), std::sqrt(2.0) - 1) : 0;
  const at::Tensor noise = context.noise();
  const float raised = from * static_cast<float>(gamma + 1);
  if (gamma > 0) x = x + noise * s.s_noise * std::sqrt(raised * raised - from * from);
  return raised;
}

}  // namespace lowrank::sampling
