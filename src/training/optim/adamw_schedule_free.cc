#include "training/optim/adamw_schedule_free.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::training {

AdamWScheduleFree::AdamWScheduleFree(std::vector<TrainedParameter> parameters,
                                     const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      eps_(arguments.number("eps")),
      weight_decay_(arguments.number("weight_decay")),
      warmup_steps_(arguments.number("warmup_steps")),
      r_(arguments.number("r")),
      power_(arguments.number("weight_lr_power")),
      v_(zeros()),
      z_(copies()) {
  if (beta1_ == 0)
    throw Error(kBadInput, "--optimizer-args: AdamWScheduleFree needs a first beta above 0, such as 0.9.");
  remember("v", v_);
  remember("z", z_);
  remember("largest_rate", largest_);
  remember("weight_sum", sum_);
}

void AdamWScheduleFree::update(double factor) {
  const auto k = static_cast<double>(steps_);
  const double warmed = factor * (k <= warmup_steps_ ? k / warmup_steps_ : 1.0);
  const double correction2 = 1 - std::pow(beta2_, k);
  largest_ = std::max(largest_, warmed);
  const double weight = std::pow(k, r_) * std::pow(largest_, power_);
  sum_ += weight;
  const double c = sum_ > 0 ? weight / sum_ : 0.0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& y = parameters_[i].tensor;
    const double rate = warmed * parameters_[i].learning_rate;
    v_[i].mul_(beta2_).addcmul_(g, g, 1 - beta2_);
    const at::Tensor step = g / v_[i].div(correction2).sqrt_().add_(eps_);
    if (const double lambda = decay(i, weight_decay_); lambda != 0) step.add_(y, lambda);
    y.lerp_(z_[i], c).add_(step, rate * (beta1_ * (1 - c) - 1));
    z_[i].sub_(step, rate);
  }
}

at::Tensor AdamWScheduleFree::found(std::size_t i) const {
  return parameters_[i].tensor.detach().lerp(z_[i], 1 - 1 / beta1_);
}

}  // namespace lowrank::training
