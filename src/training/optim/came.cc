#include "training/optim/came.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "training/optim/factored_moment.h"

namespace lowrank::training {

Came::Came(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      beta3_(arguments.number("betas", 2)),
      eps1_(arguments.number("eps", 0)),
      eps2_(arguments.number("eps", 1)),
      clip_threshold_(arguments.number("clip_threshold")),
      weight_decay_(arguments.number("weight_decay")),
      m_(zeros()) {
  for (const auto& parameter : parameters_) {
    const at::Tensor& w = parameter.tensor;
    const bool factored = is_factored(w);
    v_.push_back(factored ? at::Tensor() : at::zeros(w.sizes(), at::TensorOptions(at::kFloat)));
    for (auto* rows : {&row_, &doubt_row_}) rows->push_back(factored ? row_zeros(w) : at::Tensor());
    for (auto* columns : {&column_, &doubt_column_})
      columns->push_back(factored ? column_zeros(w) : at::Tensor());
  }
  remember("m", m_);
  remember("v", v_);
  remember("row", row_);
  remember("column", column_);
  remember("doubt_row", doubt_row_);
  remember("doubt_column", doubt_column_);
}

void Came::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const bool factored = row_[i].defined();
    const at::Tensor square = g.square().add_(eps1_);
    at::Tensor u;
    if (factored) {
      move_factors(row_[i], column_[i], square, beta2_);
      u = inverse_root(row_[i], column_[i]).mul_(g);
    } else {
      v_[i].mul_(beta2_).add_(square, 1 - beta2_);
      u = v_[i].rsqrt().mul_(g);
    }
    u.div_(std::max(1.0, rms(u) / clip_threshold_));
    m_[i].mul_(beta1_).add_(u, 1 - beta1_);
    at::Tensor step = m_[i];
    if (factored) {
      move_factors(doubt_row_[i], doubt_column_[i], (u - m_[i]).square_().add_(eps2_), beta3_);
      step = inverse_root(doubt_row_[i], doubt_column_[i]).mul_(m_[i]);
    }
    const double rate = factor * parameters_[i].learning_rate;
    if (const double lambda = decay(i, weight_decay_); lambda != 0) w.mul_(1 - lambda * rate);
    w.sub_(step, rate);
  }
}

}  // namespace lowrank::training
