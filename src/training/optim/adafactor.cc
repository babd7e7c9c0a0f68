#include "training/optim/adafactor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "training/optim/factored_moment.h"

namespace lowrank::training {

Adafactor::Adafactor(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      eps1_(arguments.number("eps", 0)),
      eps2_(arguments.number("eps", 1)),
      clip_threshold_(arguments.number("clip_threshold")),
      decay_rate_(arguments.number("decay_rate")),
      weight_decay_(arguments.number("weight_decay")),
      beta1_(arguments.number_or_none("beta1")),
      scale_parameter_(arguments.is_on("scale_parameter")),
      relative_step_(arguments.is_on("relative_step")),
      warmup_init_(arguments.is_on("warmup_init")) {
  if (warmup_init_ && !relative_step_)
    throw Error(kBadInput, "--optimizer-args: warmup_init=True needs relative_step=True.");
  for (const auto& parameter : parameters_) {
    const bool factored = is_factored(parameter.tensor);
    row_.push_back(factored ? row_zeros(parameter.tensor) : at::Tensor());
    column_.push_back(factored ? column_zeros(parameter.tensor) : at::Tensor());
    v_.push_back(factored ? at::Tensor()
                          : at::zeros(parameter.tensor.sizes(), at::TensorOptions(at::kFloat)));
  }
  remember("row", row_);
  remember("column", column_);
  remember("v", v_);
  if (!beta1_) return;
  m_ = zeros();
  remember("m", m_);
}

double Adafactor::rate(std::size_t i, double factor, double t) const {
  const double step = relative_step_ ? std::min(warmup_init_ ? 1e-6 * t : 1e-2, 1 / std::sqrt(t))
                                     : factor * parameters_[i].learning_rate;
  return scale_parameter_ ? std::max(eps2_, rms(parameters_[i].tensor)) * step : step;
}

void Adafactor::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const double t = gradients_of(i), own_rate = rate(i, factor, t);
    const double beta2 = 1 - std::pow(t, decay_rate_);
    const at::Tensor square = g.square().add_(eps1_);
    at::Tensor u;
    if (row_[i].defined()) {
      move_factors(row_[i], column_[i], square, beta2);
      u = inverse_root(row_[i], column_[i]).mul_(g);
    } else {
      v_[i].mul_(beta2).add_(square, 1 - beta2);
      u = v_[i].rsqrt().mul_(g);
    }
    u.div_(std::max(1.0, rms(u) / clip_threshold_)).mul_(own_rate);
    if (beta1_) u = m_[i].mul_(*beta1_).add_(u, 1 - *beta1_);
    if (const double lambda = decay(i, weight_decay_); lambda != 0) w.mul_(1 - lambda * own_rate);
    w.sub_(u);
  }
}

}  // namespace lowrank::training
