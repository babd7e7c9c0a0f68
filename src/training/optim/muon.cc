#include "training/optim/muon.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lowrank::training {
namespace {

// Of the quintic, steep at 0: after five rounds singular values lie between 0.7 and 1.2.
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kVectorEps = 1e-8;

// To bfloat16's precision.
at::Tensor rounded(const at::Tensor& x) {
  return x.to(at::kBFloat16).to(at::kFloat);
}

// from + (to − from) · share, rounded once: an iteration that starts from bfloat16 carries one unit of float32 far.
at::Tensor between(const at::Tensor& from, const at::Tensor& to, double share) {
  const double w = static_cast<float>(share);
  const at::Tensor way = (to - from).to(at::kDouble);
  const at::Tensor sum = w < 0.5 ? from.to(at::kDouble) + way * w
                                 : to.to(at::kDouble) - way * (1.0F - static_cast<float>(share));
  return sum.to(at::kFloat);
}

}  // namespace

Muon::Muon(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      momentum_(arguments.number("momentum")),
      weight_decay_(arguments.number("weight_decay")),
      eps_(arguments.number("eps")),
      ns_steps_(arguments.number("ns_steps")),
      adjust_(arguments.number("adjust_lr_fn")),
      nesterov_(arguments.is_on("nesterov")),
      b_(zeros()),
      m_(zeros()),
      v_(zeros()) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const bool is_matrix = parameters_[i].tensor.dim() >= 2;
    if (is_matrix)
      m_[i] = v_[i] = at::Tensor();
    else
      b_[i] = at::Tensor();
  }
  remember("b", b_);
  remember("m", m_);
  remember("v", v_);
}

at::Tensor Muon::orthogonal(const at::Tensor& matrix) const {
  const bool is_tall = matrix.size(0) > matrix.size(1);
  at::Tensor x = rounded(is_tall ? matrix.t() : matrix);
  x = rounded(x / rounded(x.norm()).clamp_min(eps_));
  for (int round = 0; round < static_cast<int>(ns_steps_); ++round) {
    const at::Tensor a = rounded(x.mm(x.t()));
    const at::Tensor b = rounded(at::addmm(a, a, a, kB, kC));
    x = rounded(at::addmm(x, b, x, kA, 1));
  }
  return is_tall ? x.t() : x;
}

double Muon::adjustment(double rows, double columns) const {
  if (adjust_ == 1) return 0.2 * std::sqrt(std::max(rows, columns));
  return std::sqrt(adjust_ == 0 ? std::max(1.0, rows / columns) : rows / columns);
}

void Muon::update_vector(std::size_t i, double rate) {
  const at::Tensor& g = gradient(i);
  const double t = gradients_of(i);
  m_[i].mul_(kBeta1).add_(g, 1 - kBeta1);
  v_[i].mul_(kBeta2).addcmul_(g, g, 1 - kBeta2);
  const at::Tensor scale = v_[i].sqrt().div_(std::sqrt(1 - std::pow(kBeta2, t))).add_(kVectorEps);
  parameters_[i].tensor.addcdiv_(m_[i], scale, -rate / (1 - std::pow(kBeta1, t)));
}

void Muon::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const double rate = factor * parameters_[i].learning_rate;
    w.mul_(1 - rate * decay(i, weight_decay_));
    if (!b_[i].defined()) {
      update_vector(i, rate);
      continue;
    }
    b_[i].copy_(between(b_[i], g, 1 - momentum_));
    const at::Tensor u = nesterov_ ? between(g, b_[i], momentum_) : b_[i];
    const at::Tensor x = orthogonal(u.reshape({u.size(0), -1}));
    w.add_(x.reshape(w.sizes()),
           -rate * adjustment(static_cast<double>(x.size(0)), static_cast<double>(x.size(1))));
  }
}

}  // namespace lowrank::training
