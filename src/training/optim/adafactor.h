// Adafactor (Shazeer & Stern 2018, arXiv:1804.04235, algorithms 4 and 5) as transformers forms it.
//
//   β₂ₜ = 1 − t^decay_rate      v ← β₂ₜ v + (1−β₂ₜ)(g² + ε₁), a matrix's as rows and columns (factored_moment.h)
//   u = g / √v      u ← u / max(1, RMS(u) / clip_threshold)
//   w ← w − ρ · ( u + λ w )      ρ = step · max(ε₂, RMS(w)) with scale_parameter
//   step: min(0.01 or 10⁻⁶t with warmup_init, 1/√t) with relative_step, else the learning rate
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Adafactor : public Optimiser {
 public:
  // Throws Error(kBadInput) where warmup_init is asked for without relative_step.
  Adafactor(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;
  double rate(std::size_t i, double factor, double t) const;

  const double eps1_, eps2_, clip_threshold_, decay_rate_, weight_decay_;
  const std::optional<double> beta1_;
  const bool scale_parameter_, relative_step_, warmup_init_;
  std::vector<at::Tensor> row_, column_,
      v_;                      // the first two for matrices, the last for vectors; else undefined
  std::vector<at::Tensor> m_;  // with beta1
};

}  // namespace lowrank::training
