// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay.
//
//   m ← β₁ m + (1−β₁) g      v ← β₂ v + (1−β₂) g²
//   w ← w − lr · ( m̂ / (√v̂ + ε) + λ w )      m̂ = m / (1−β₁ᵗ), v̂ = v / (1−β₂ᵗ)
//
// Weight decay is applied to parameters of two or more dimensions only (not to biases and norms).
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class AdamW : public Optimiser {
 public:
  AdamW(std::vector<TrainedParameter> parameters, const OptimiserOptions& options);

  void step(double factor) override;
  // Moments under "m/NAME" and "v/NAME".
  tensor::StateDict state() const override;
  void load(const tensor::StateDict& state, std::int64_t steps) override;

 private:
  std::vector<at::Tensor> m_, v_;
  double weight_decay_;
  std::int64_t steps_ = 0;
};

}  // namespace lowrank::training
