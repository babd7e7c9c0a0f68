#include "training/optim/adamw8bit.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

namespace lowrank::training {

AdamW8bit::AdamW8bit(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      eps_(arguments.number("eps")),
      weight_decay_(arguments.number("weight_decay")),
      m_(parameters_.size()),
      v_(parameters_.size()),
      m_codes_(parameters_.size()),
      m_scales_(parameters_.size()),
      v_codes_(parameters_.size()),
      v_scales_(parameters_.size()) {
  const double least = arguments.number("min_8bit_size");
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& w = parameters_[i].tensor;
    if (static_cast<double>(w.numel()) < least) {
      m_[i] = at::zeros(w.sizes(), at::TensorOptions(at::kFloat));
      v_[i] = at::zeros(w.sizes(), at::TensorOptions(at::kFloat));
      continue;
    }
    const EightBits m = eight_bit_zeros(w.numel(), Signed::kYes), v = eight_bit_zeros(w.numel(), Signed::kNo);
    m_codes_[i] = m.codes;
    m_scales_[i] = m.scales;
    v_codes_[i] = v.codes;
    v_scales_[i] = v.scales;
  }
  remember("m", m_);
  remember("v", v_);
  remember("m_codes", m_codes_);
  remember("m_scales", m_scales_);
  remember("v_codes", v_codes_);
  remember("v_scales", v_scales_);
}

void AdamW8bit::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& g = gradient(i);
    if (!g.defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const double t = gradients_of(i);
    const double correction1 = 1 - std::pow(beta1_, t), correction2 = std::sqrt(1 - std::pow(beta2_, t));
    const double rate = factor * parameters_[i].learning_rate;
    EightBits packed_m{m_codes_[i], m_scales_[i]}, packed_v{v_codes_[i], v_scales_[i]};
    const bool is_packed = packed_m.codes.defined();
    at::Tensor m = is_packed ? unpacked(packed_m, Signed::kYes).view(w.sizes()) : m_[i];
    at::Tensor v = is_packed ? unpacked(packed_v, Signed::kNo).view(w.sizes()) : v_[i];
    m.mul_(beta1_).add_(g, 1 - beta1_);
    v.mul_(beta2_).addcmul_(g, g, 1 - beta2_);
    w.mul_(1 - rate * decay(i, weight_decay_));
    w.addcdiv_(m, v.sqrt().div_(correction2).add_(eps_), -rate / correction1);
    if (!is_packed) continue;
    pack(packed_m, m, Signed::kYes);
    pack(packed_v, v, Signed::kNo);
  }
}

}  // namespace lowrank::training
