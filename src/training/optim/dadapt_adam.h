// Adam with D-Adaptation (Defazio & Mishchenko 2023, arXiv:2301.07733, algorithm 5) as dadaptation forms it.
//
//   r ← √β₂ r + (1−√β₂) · d·lr · ⟨g, s / (√v + ε)⟩      m ← β₁ m + d·lr (1−β₁) g      v ← β₂ v + (1−β₂) g²
//   s ← √β₂ s + (1−√β₂) · d·lr · g      d̂ = r / ((1−√β₂) ‖s‖₁)      d ← max(d, min(d̂, d · growth_rate))
//   w ← w − m / (√v + ε) − d·lr λ w      d·lr is that from before the growth of d
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class DAdaptAdam : public Optimiser {
 public:
  // Throws Error(kBadInput) where the learning rates differ (common_rate).
  DAdaptAdam(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;
  // This step's part of r, and ‖s‖₁.
  std::pair<double, double> gather(double step, double factor);

  const double beta1_, beta2_, eps_, weight_decay_;
  const bool decouple_, use_bias_correction_;
  const double growth_rate_;
  const double rate_;  // the parameters' own
  double d_, numerator_ = 0;
  double updates_ = 0;  // steps that had a gradient
  std::vector<at::Tensor> m_, v_, s_;
};

}  // namespace lowrank::training
