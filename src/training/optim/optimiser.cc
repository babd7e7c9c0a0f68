#include "training/optim/optimiser.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::training {

Optimiser::Optimiser(std::vector<TrainedParameter> parameters) : parameters_(std::move(parameters)) {
  for (const auto& [name, tensor, rate] : parameters_)
    LOWRANK_CHECK(tensor.is_leaf() && tensor.requires_grad() && tensor.scalar_type() == at::kFloat);
}

double Optimiser::clip_gradients(double limit) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& parameter : parameters_) {
    if (!parameter.tensor.grad().defined()) continue;
    const double norm = parameter.tensor.grad().norm().item<double>();
    sum += norm * norm;
  }
  const double norm = std::sqrt(sum);
  if (!std::isfinite(norm)) {
    for (auto& parameter : parameters_) parameter.tensor.mutable_grad() = at::Tensor();
  } else if (norm > limit) {
    for (auto& parameter : parameters_)
      if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().mul_(limit / norm);
  }
  return norm;
}

}  // namespace lowrank::training
