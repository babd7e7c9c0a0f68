// CAME (Luo et al. 2023, arXiv:2307.02047, algorithm 2) as came-pytorch forms it.
//
//   v ← β₂ v + (1−β₂)(g² + ε₁)      u = g / √v, clipped as in Adafactor      m ← β₁ m + (1−β₁) u
//   s ← β₃ s + (1−β₃)((u − m)² + ε₂)      w ← w − lr · ( m / √s + λ w )
//
// v and s of matrices are kept as rows and columns (factored_moment.h); vectors have no s and move by m.
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Came : public Optimiser {
 public:
  Came(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;

  const double beta1_, beta2_, beta3_, eps1_, eps2_, clip_threshold_, weight_decay_;
  std::vector<at::Tensor> m_, v_;                                    // v: of vectors
  std::vector<at::Tensor> row_, column_, doubt_row_, doubt_column_;  // of matrices
};

}  // namespace lowrank::training
