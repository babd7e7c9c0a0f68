#include "training/optim/dadapt_adam.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lowrank::training {

DAdaptAdam::DAdaptAdam(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      eps_(arguments.number("eps")),
      weight_decay_(arguments.number("weight_decay")),
      decouple_(arguments.is_on("decouple")),
      use_bias_correction_(arguments.is_on("use_bias_correction")),
      growth_rate_(arguments.number("growth_rate")),
      rate_(common_rate(parameters_, "DAdaptAdam")),
      d_(arguments.number("d0")),
      m_(zeros()),
      v_(zeros()),
      s_(zeros()) {
  remember("m", m_);
  remember("v", v_);
  remember("s", s_);
  remember("d", d_);
  remember("d_numerator", numerator_);
  remember("updates", updates_);
}

std::pair<double, double> DAdaptAdam::gather(double step, double factor) {
  const double root = std::sqrt(beta2_);
  double numerator = 0, length = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    if (const double lambda = decay(i, weight_decay_); lambda != 0 && !decouple_)
      w.mutable_grad().add_(w, lambda);
    if (factor * parameters_[i].learning_rate == 0) continue;
    const at::Tensor& g = gradient(i);
    const at::Tensor scaled = s_[i] / v_[i].sqrt().add_(eps_);
    numerator += step * g.reshape({-1}).dot(scaled.reshape({-1})).item<double>();
    m_[i].mul_(beta1_).add_(g, step * (1 - beta1_));
    v_[i].mul_(beta2_).addcmul_(g, g, 1 - beta2_);
    s_[i].mul_(root).add_(g, step * (1 - root));
    length += s_[i].abs().sum().item<double>();
  }
  return {numerator, length};
}

void DAdaptAdam::update(double factor) {
  const double rate = factor * rate_, root = std::sqrt(beta2_), k = updates_ + 1;
  const double correction =
      use_bias_correction_ ? std::sqrt(1 - std::pow(beta2_, k)) / (1 - std::pow(beta1_, k)) : 1.0;
  const double step = d_ * rate * correction;
  const auto [numerator, length] = gather(step, factor);
  if (length == 0) return;
  numerator_ = root * numerator_ + (1 - root) * numerator;
  if (rate > 0) d_ = std::max(d_, std::min(numerator_ / ((1 - root) * length), d_ * growth_rate_));
  updates_ = k;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    if (const double lambda = decay(i, weight_decay_); lambda != 0 && decouple_) w.mul_(1 - lambda * step);
    w.addcdiv_(m_[i], v_[i].sqrt().add_(eps_), -1);
  }
}

}  // namespace lowrank::training
