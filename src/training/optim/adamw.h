// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay.
//
//   m ← β₁ m + (1−β₁) g      v ← β₂ v + (1−β₂) g²
//   w ← w − lr · ( m̂ / (√v̂ + ε) + λ w )      m̂ = m / (1−β₁ᵗ), v̂ = v / (1−β₂ᵗ)
//
// Weight decay is applied to parameters of two or more dimensions only (not to biases and norms).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/layer.h"
#include "tensor/state_dict.h"

namespace lowrank::training {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
};

class AdamW {
 public:
  // Every parameter must be a float32 leaf that requires a gradient.
  AdamW(std::vector<model::NamedParameter> parameters, AdamWOptions options);

  // One update with the gradients that backward() left; parameters without a gradient stay. Gradients are then dropped.
  void step(double learning_rate);
  // A factor of the learning rate for each parameter, in their order; all 1 unless set.
  void set_rate_factors(std::vector<double> factors);
  // Scales all gradients so that their common norm is at most `limit`; returns the norm before. Non-finite norms drop
  // every gradient, so that the step changes nothing but the count.
  double clip_gradients(double limit);

  std::int64_t steps() const { return steps_; }
  // Moments under "m/NAME" and "v/NAME"; the parameters themselves are not included.
  tensor::StateDict state() const;
  // Throws Error naming a moment that is missing or misshapen.
  void load(const tensor::StateDict& state, std::int64_t steps);

 private:
  std::vector<model::NamedParameter> parameters_;
  std::vector<at::Tensor> m_, v_;
  std::vector<double> rate_factors_;
  AdamWOptions options_;
  std::int64_t steps_ = 0;
};

}  // namespace lowrank::training
