// AdamW (adamw.h) whose moments are kept in 8 bits between steps (Dettmers et al. 2021, arXiv:2110.02861), as
// bitsandbytes does: tensors below min_8bit_size numbers keep them in float32.
#pragma once

#include "training/optim/eight_bit.h"
#include "training/optim/optimiser.h"

namespace lowrank::training {

class AdamW8bit : public Optimiser {
 public:
  AdamW8bit(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;

  const double beta1_, beta2_, eps_, weight_decay_;
  std::vector<at::Tensor> m_, v_;  // of small tensors
  std::vector<at::Tensor> m_codes_, m_scales_, v_codes_, v_scales_;
};

}  // namespace lowrank::training
