#include "training/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "kernels/adamw.h"

namespace lowrank::training {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;

}  // namespace

AdamW::AdamW(std::vector<TrainedParameter> parameters, const OptimiserOptions& options)
    : Optimiser(std::move(parameters)), weight_decay_(options.weight_decay) {
  for (const auto& parameter : parameters_) {
    m_.push_back(at::zeros_like(parameter.tensor));
    v_.push_back(at::zeros_like(parameter.tensor));
  }
}

void AdamW::step(double factor) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(kBeta1, static_cast<double>(steps_));
  const double correction2 = std::sqrt(1 - std::pow(kBeta2, static_cast<double>(steps_)));
  const kernels::AdamWFactors common = {.beta1 = static_cast<float>(kBeta1),
                                        .beta2 = static_cast<float>(kBeta2),
                                        .eps = static_cast<float>(kEps),
                                        .learning_rate = 0.0F,
                                        .keep = 1.0F,
                                        .inverse_correction2 = static_cast<float>(1 / correction2)};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& w = parameters_[i].tensor;
    if (!w.grad().defined()) continue;
    const at::Tensor g = w.grad().contiguous();
    kernels::AdamWFactors factors = common;
    const double rate = factor * parameters_[i].learning_rate;
    factors.learning_rate = static_cast<float>(rate / correction1);
    if (w.dim() >= 2) factors.keep = static_cast<float>(1 - rate * weight_decay_);
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
