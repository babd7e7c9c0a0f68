#include "training/optim/optimiser.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::training {
namespace {

constexpr const char *kAverage = "average", *kSeen = "optimiser/gradients";

at::Tensor number_tensor(double value) {
  return at::full({1}, value, at::kDouble);
}

void take(const tensor::StateDict& state, const std::string& name, at::Tensor& into) {
  const auto found = state.find(name);
  if (found == state.end() || found->second.sizes() != into.sizes() ||
      found->second.scalar_type() != into.scalar_type())
    throw Error(kBadInput, "the training state has no '{}' of the right shape; it belongs to another run.",
                name);
  into.copy_(found->second);
}

}  // namespace

Optimiser::Optimiser(std::vector<TrainedParameter> parameters) : parameters_(std::move(parameters)) {
  for (const auto& parameter : parameters_) {
    const at::Tensor& tensor = parameter.tensor;
    LOWRANK_CHECK(tensor.is_leaf() && tensor.requires_grad() && tensor.scalar_type() == at::kFloat);
  }
  seen_.assign(parameters_.size(), 0);
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

void Optimiser::step(double factor) {
  const at::NoGradGuard no_grad;
  ++steps_;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (gradient(i).defined()) ++seen_[i];
  update(factor);
  for (auto& parameter : parameters_) parameter.tensor.mutable_grad() = at::Tensor();
  if (average_decay_ == 0) return;
  const auto t = static_cast<double>(steps_);
  const double keep = std::min(average_decay_, (1 + t) / (10 + t));
  for (std::size_t i = 0; i < parameters_.size(); ++i) averages_[i].lerp_(weights(i), 1 - keep);
}

void Optimiser::keep_average(double decay) {
  average_decay_ = decay;
  if (decay == 0 || !averages_.empty()) return;
  averages_ = copies();
  remember(kAverage, averages_);
}

tensor::StateDict Optimiser::state() const {
  tensor::StateDict state;
  for (const auto& [prefix, tensors] : tensors_)
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if ((*tensors)[i].defined()) state.emplace(prefix + "/" + parameters_[i].name, (*tensors)[i]);
  for (const auto& [name, number] : numbers_) state.emplace("optimiser/" + name, number_tensor(*number));
  state.emplace(kSeen, at::tensor(seen_, at::kDouble));
  return state;
}

void Optimiser::load(const tensor::StateDict& state, std::int64_t steps) {
  const at::NoGradGuard no_grad;
  for (const auto& [prefix, tensors] : tensors_)
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if ((*tensors)[i].defined()) take(state, prefix + "/" + parameters_[i].name, (*tensors)[i]);
  for (const auto& [name, number] : numbers_) {
    at::Tensor value = number_tensor(0);
    take(state, "optimiser/" + name, value);
    *number = value.item<double>();
  }
  steps_ = steps;
  // States of older versions counted steps alone.
  at::Tensor seen =
      at::full({static_cast<std::int64_t>(seen_.size())}, static_cast<double>(steps), at::kDouble);
  if (state.contains(kSeen)) take(state, kSeen, seen);
  for (std::size_t i = 0; i < seen_.size(); ++i) seen_[i] = seen[static_cast<std::int64_t>(i)].item<double>();
}

void Optimiser::remember(std::string prefix, std::vector<at::Tensor>& tensors) {
  LOWRANK_CHECK(tensors.size() == parameters_.size());
  tensors_.emplace_back(std::move(prefix), &tensors);
}

void Optimiser::remember(std::string name, double& number) {
  numbers_.emplace_back(std::move(name), &number);
}

std::vector<at::Tensor> Optimiser::zeros() const {
  std::vector<at::Tensor> all;
  for (const auto& parameter : parameters_)
    all.push_back(at::zeros(parameter.tensor.sizes(), at::TensorOptions(at::kFloat)));
  return all;
}

std::vector<at::Tensor> Optimiser::copies() const {
  std::vector<at::Tensor> all;
  for (const auto& parameter : parameters_) all.push_back(parameter.tensor.detach().clone());
  return all;
}

at::Tensor Optimiser::weights(std::size_t i) const {
  at::Tensor own = found(i);
  return own.defined() ? own : parameters_[i].tensor.detach();
}

Evaluation::Evaluation(Optimiser& optimiser) {
  const at::NoGradGuard no_grad;
  const bool is_averaging = optimiser.average_decay_ > 0;
  for (std::size_t i = 0; i < optimiser.parameters_.size(); ++i) {
    const at::Tensor judged = is_averaging ? optimiser.averages_[i] : optimiser.found(i);
    if (!judged.defined()) continue;
    at::Tensor& tensor = optimiser.parameters_[i].tensor;
    trained_.emplace_back(tensor, tensor.detach().clone());
    tensor.copy_(judged);
  }
}

Evaluation::~Evaluation() {
  const at::NoGradGuard no_grad;
  for (auto& [parameter, value] : trained_) parameter.copy_(value);
}

double common_rate(const std::vector<TrainedParameter>& parameters, std::string_view optimiser) {
  double rate = 0;
  for (const auto& parameter : parameters) rate = std::max(rate, parameter.learning_rate);
  for (const auto& parameter : parameters)
    if (parameter.learning_rate != rate && parameter.learning_rate != 0)
      throw Error(kBadInput,
                  "{} estimates one step size for all that is trained: the learning rates {} and {} must be "
                  "the same, or one of them 0.",
                  optimiser, rate, parameter.learning_rate);
  return rate;
}

}  // namespace lowrank::training
