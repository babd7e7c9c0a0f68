#include "training/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "kernels/adamw.h"

namespace lowrank::training {

AdamW::AdamW(std::vector<model::NamedParameter> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, tensor] : parameters_) {
    LOWRANK_CHECK(tensor.is_leaf() && tensor.requires_grad() && tensor.scalar_type() == at::kFloat);
    m_.push_back(at::zeros_like(tensor));
    v_.push_back(at::zeros_like(tensor));
  }
  rate_factors_.assign(parameters_.size(), 1.0);
}

void AdamW::set_rate_factors(std::vector<double> factors) {
  LOWRANK_CHECK(factors.size() == parameters_.size());
  rate_factors_ = std::move(factors);
}

double AdamW::clip_gradients(double limit) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& [name, tensor] : parameters_) {
    if (!tensor.grad().defined()) continue;
    const double norm = tensor.grad().norm().item<double>();
    sum += norm * norm;
  }
  const double norm = std::sqrt(sum);
  if (!std::isfinite(norm)) {
    for (auto& [name, tensor] : parameters_) tensor.mutable_grad() = at::Tensor();
  } else if (norm > limit) {
    for (auto& [name, tensor] : parameters_)
      if (tensor.grad().defined()) tensor.mutable_grad().mul_(limit / norm);
  }
  return norm;
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = std::sqrt(1 - std::pow(options_.beta2, static_cast<double>(steps_)));
  const kernels::AdamWFactors common = {.beta1 = static_cast<float>(options_.beta1),
                                        .beta2 = static_cast<float>(options_.beta2),
                                        .eps = static_cast<float>(options_.eps),
                                        .learning_rate = 0.0F,
                                        .keep = 1.0F,
                                        .inverse_correction2 = static_cast<float>(1 / correction2)};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& w = parameters_[i].tensor;
    if (!w.grad().defined()) continue;
    const at::Tensor g = w.grad().contiguous();
    kernels::AdamWFactors factors = common;
    const double rate = learning_rate * rate_factors_[i];
    factors.learning_rate = static_cast<float>(rate / correction1);
    if (w.dim() >= 2) factors.keep = static_cast<float>(1 - rate * options_.weight_decay);
    at::parallel_for(0, w.numel(), 1 << 16, [&](std::int64_t from, std::int64_t to) {
      kernels::adamw_update(w.data_ptr<float>() + from, m_[i].data_ptr<float>() + from,
                            v_[i].data_ptr<float>() + from, g.data_ptr<float>() + from, to - from, factors);
    });
    w.mutable_grad() = at::Tensor();
  }
}

tensor::StateDict AdamW::state() const {
  tensor::StateDict state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace("m/" + parameters_[i].name, m_[i]);
    state.emplace("v/" + parameters_[i].name, v_[i]);
  }
  return state;
}

void AdamW::load(const tensor::StateDict& state, std::int64_t steps) {
  const at::NoGradGuard no_grad;
  const auto take = [&](const std::string& name, at::Tensor& into) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != into.sizes())
      throw Error(kBadInput, "the training state lacks '{}' in the right shape; it belongs to another run.",
                  name);
    into.copy_(found->second);
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    take("m/" + parameters_[i].name, m_[i]);
    take("v/" + parameters_[i].name, v_[i]);
  }
  steps_ = steps;
}

}  // namespace lowrank::training
