// Prodigy (Mishchenko & Defazio 2023, arXiv:2306.06101, algorithm 4) as prodigyopt forms it: AdamW whose step size d is
// estimated from how far the gradients have led from the start w₀.
//
//   r ← β₃ r + (d/d₀) · d·lr · ⟨g, w₀ − w⟩      s ← β₃ s + (d/d₀) · d·lr · g      d̂ = d_coef · r / ‖s‖₁
//   m ← β₁ m + d (1−β₁) g      v ← β₂ v + d² (1−β₂) g²      d ← min(d_max, d · growth_rate)
//   w ← w − d·lr · ( m / (√v + d ε) + λ w )      with the d·lr from before its growth, the ε from after it
//
// β₃ = √β₂ unless chosen; every slice_p-th number of r and s counts.
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Prodigy : public Optimiser {
 public:
  // Throws Error(kBadInput) where the learning rates differ (common_rate).
  Prodigy(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;
  // This step's ⟨g, w₀ − w⟩ and ‖s‖₁, weighed.
  struct Evidence {
    double numerator = 0, denominator = 0;
  };
  Evidence gather(double step, double factor);
  // False: there is nothing to go on.
  bool estimate(const Evidence& evidence, double rate);

  const double beta1_, beta2_, beta3_, eps_, weight_decay_;
  const bool decouple_, use_bias_correction_, safeguard_warmup_;
  const double d0_, d_coef_, growth_rate_;
  const std::int64_t slice_;
  const double rate_;  // the parameters' own
  double d_, d_max_, numerator_ = 0;
  double updates_ = 0;  // steps that had a gradient
  std::vector<at::Tensor> m_, v_, s_, start_;
};

}  // namespace lowrank::training
