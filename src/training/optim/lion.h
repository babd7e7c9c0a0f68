// Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of a momentum.
//
//   w ← w − lr · ( sign(β₁ m + (1−β₁) g) + λ w )      m ← β₂ m + (1−β₂) g
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Lion : public Optimiser {
 public:
  Lion(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;

  const double beta1_, beta2_, weight_decay_;
  std::vector<at::Tensor> m_;
};

}  // namespace lowrank::training
