#include "training/optim/prodigy.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lowrank::training {
namespace {

at::Tensor sliced(const at::Tensor& x, std::int64_t step) {
  return x.reshape({-1}).slice(0, 0, x.numel(), step);
}

}  // namespace

Prodigy::Prodigy(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      beta3_(arguments.number_or_none("beta3").value_or(std::sqrt(beta2_))),
      eps_(arguments.number("eps")),
      weight_decay_(arguments.number("weight_decay")),
      decouple_(arguments.is_on("decouple")),
      use_bias_correction_(arguments.is_on("use_bias_correction")),
      safeguard_warmup_(arguments.is_on("safeguard_warmup")),
      d0_(arguments.number("d0")),
      d_coef_(arguments.number("d_coef")),
      growth_rate_(arguments.number("growth_rate")),
      slice_(static_cast<std::int64_t>(arguments.number("slice_p"))),
      rate_(common_rate(parameters_, "Prodigy")),
      d_(d0_),
      d_max_(d0_),
      m_(zeros()),
      v_(zeros()) {
  for (const auto& parameter : parameters_) {
    start_.push_back(sliced(parameter.tensor.detach(), slice_).clone());
    s_.push_back(at::zeros_like(start_.back()));
  }
  remember("m", m_);
  remember("v", v_);
  remember("s", s_);
  remember("start", start_);
  remember("d", d_);
  remember("d_max", d_max_);
  remember("d_numerator", numerator_);
  remember("updates", updates_);
}

Prodigy::Evidence Prodigy::gather(double step, double factor) {
  Evidence evidence;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    if (const double lambda = decay(i, weight_decay_); lambda != 0 && !decouple_)
      w.mutable_grad().add_(w, lambda);
    if (factor * parameters_[i].learning_rate == 0) continue;
    const at::Tensor& g = gradient(i);
    const at::Tensor part = sliced(g, slice_);
    evidence.numerator += d_ / d0_ * step * part.dot(start_[i] - sliced(w.detach(), slice_)).item<double>();
    m_[i].mul_(beta1_).add_(g, d_ * (1 - beta1_));
    v_[i].mul_(beta2_).addcmul_(g, g, d_ * d_ * (1 - beta2_));
    s_[i].mul_(beta3_).add_(part, d_ / d0_ * (safeguard_warmup_ ? d_ : step));
    evidence.denominator += s_[i].abs().sum().item<double>();
  }
  return evidence;
}

bool Prodigy::estimate(const Evidence& evidence, double rate) {
  if (evidence.denominator == 0) return false;
  const double numerator = numerator_ * beta3_ + evidence.numerator;
  if (rate > 0) {
    const double hat = d_coef_ * numerator / evidence.denominator;
    if (d_ == d0_) d_ = std::max(d_, hat);
    d_max_ = std::max(d_max_, hat);
    d_ = std::min(d_max_, d_ * growth_rate_);
  }
  numerator_ = numerator;
  return true;
}

void Prodigy::update(double factor) {
  const double rate = factor * rate_, k = updates_ + 1;
  const double correction =
      use_bias_correction_ ? std::sqrt(1 - std::pow(beta2_, k)) / (1 - std::pow(beta1_, k)) : 1.0;
  const double step = d_ * rate * correction;
  if (!estimate(gather(step, factor), rate)) return;
  updates_ = k;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const at::Tensor scale = v_[i].sqrt().add_(d_ * eps_);
    if (const double lambda = decay(i, weight_decay_); lambda != 0 && decouple_) w.mul_(1 - lambda * step);
    // Without momentum the package takes the gradient at the new d.
    if (beta1_ > 0)
      w.addcdiv_(m_[i], scale, -step);
    else
      w.addcdiv_(gradient(i), scale, -step * d_);
  }
}

}  // namespace lowrank::training
