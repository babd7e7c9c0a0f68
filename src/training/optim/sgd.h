// Gradient descent with momentum (Sutskever et al. 2013) as PyTorch forms it.
//
//   g ← g + λ w      b ← g at the first gradient, then μ b + (1−τ) g
//   w ← w − lr · d   d = g without momentum, b with it, g + μ b with Nesterov's
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Sgd : public Optimiser {
 public:
  // Throws Error(kBadInput) where Nesterov's form is asked for without momentum, or with dampening.
  Sgd(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;

  const double momentum_, dampening_, weight_decay_;
  const bool nesterov_;
  std::vector<at::Tensor> b_;  // with momentum
};

}  // namespace lowrank::training
