#include "training/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <utility>

#include "kernels/adamw.h"

namespace lowrank::training {

AdamW::AdamW(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      eps_(arguments.number("eps")),
      weight_decay_(arguments.number("weight_decay")),
      m_(zeros()),
      v_(zeros()) {
  remember("m", m_);
  remember("v", v_);
}

void AdamW::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const at::Tensor g = gradient(i).contiguous();
    const double t = gradients_of(i), rate = factor * parameters_[i].learning_rate;
    const double correction1 = 1 - std::pow(beta1_, t), correction2 = std::sqrt(1 - std::pow(beta2_, t));
    const kernels::AdamWFactors factors = {.beta1 = static_cast<float>(beta1_),
                                           .beta2 = static_cast<float>(beta2_),
                                           .eps = static_cast<float>(eps_),
                                           .learning_rate = static_cast<float>(rate / correction1),
                                           .keep = static_cast<float>(1 - rate * decay(i, weight_decay_)),
                                           .inverse_correction2 = static_cast<float>(1 / correction2)};
    at::parallel_for(0, w.numel(), 1 << 16, [&](std::int64_t from, std::int64_t to) {
      kernels::adamw_update(w.data_ptr<float>() + from, m_[i].data_ptr<float>() + from,
                            v_[i].data_ptr<float>() + from, g.data_ptr<float>() + from, to - from, factors);
    });
  }
}

}  // namespace lowrank::training
