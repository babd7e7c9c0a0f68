#include "training/optim/optimiser.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "request/optimisers.h"
#include "training/optim/adamw.h"

namespace lowrank::training {
namespace {

struct Maker {
  std::string_view name;
  std::unique_ptr<Optimiser> (*make)(std::vector<TrainedParameter> parameters,
                                     const OptimiserOptions& options);
};

#define LOWRANK_OPTIMISER(type, name, help)                                                     \
  {name, [](std::vector<TrainedParameter> parameters, const OptimiserOptions& options) {        \
     return std::unique_ptr<Optimiser>(std::make_unique<type>(std::move(parameters), options)); \
   }},
constexpr Maker kMakers[] = {
#include "request/optimisers.def"
};
#undef LOWRANK_OPTIMISER

}  // namespace

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

std::unique_ptr<Optimiser> make_optimiser(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimiserOptions& options) {
  const std::string_view known = request::optimiser(name).name;
  for (const auto& maker : kMakers)
    if (maker.name == known) return maker.make(std::move(parameters), options);
  LOWRANK_CHECK(false);
}

}  // namespace lowrank::training
