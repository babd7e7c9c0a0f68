// AdamW without a schedule (Defazio et al. 2024, arXiv:2405.15682, algorithm 1) as schedulefree forms it. The parameters
// hold y, where gradients are taken; z is the plain walk, x the average that is found.
//
//   v ← β₂ v + (1−β₂) g²      ĝ = g / (√v̂ + ε) + λ y      v̂ = v / (1−β₂ᵏ)
//   c = a / Σa with a = k^r · max(lr)^weight_lr_power      lr: with the method's own warm-up
//   y ← (1−c) y + c z + lr (β₁ (1−c) − 1) ĝ      z ← z − lr ĝ      x = y + (1 − 1/β₁)(z − y)
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class AdamWScheduleFree : public Optimiser {
 public:
  AdamWScheduleFree(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;
  at::Tensor found(std::size_t i) const override;

  const double beta1_, beta2_, eps_, weight_decay_, warmup_steps_, r_, power_;
  double largest_ = 0, sum_ = 0;  // of the rate's factor, of the weights a
  std::vector<at::Tensor> v_, z_;
};

}  // namespace lowrank::training
