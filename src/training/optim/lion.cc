#include "training/optim/lion.h"

#include <ATen/ATen.h>

#include <utility>

namespace lowrank::training {

Lion::Lion(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      weight_decay_(arguments.number("weight_decay")),
      m_(zeros()) {
  remember("m", m_);
}

void Lion::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const double rate = factor * parameters_[i].learning_rate;
    w.mul_(1 - rate * decay(i, weight_decay_));
    w.add_(m_[i].mul(beta1_).add_(g, 1 - beta1_).sign_(), -rate);
    m_[i].mul_(beta2_).add_(g, 1 - beta2_);
  }
}

}  // namespace lowrank::training
