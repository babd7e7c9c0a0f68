// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay.
//
//   m ← β₁ m + (1−β₁) g      v ← β₂ v + (1−β₂) g²
//   w ← w − lr · ( m̂ / (√v̂ + ε) + λ w )      m̂ = m / (1−β₁ᵗ), v̂ = v / (1−β₂ᵗ)
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class AdamW : public Optimiser {
 public:
  AdamW(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;

  const double beta1_, beta2_, eps_, weight_decay_;
  std::vector<at::Tensor> m_, v_;
};

}  // namespace lowrank::training
