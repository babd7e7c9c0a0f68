// Muon (Jordan et al. 2024) as torch.optim.Muon forms it: the momentum of a matrix, made orthogonal by the quintic
// Newton–Schulz iteration.
//
//   b ← μ b + (1−μ) g      u = (1−μ) g + μ b with nesterov, else b
//   X = u / max(‖u‖, ε), transposed where it is taller than wide; ns_steps times X ← a X + (b A + c A²) X with A = X Xᵀ
//   w ← w − lr λ w − lr · f · X      f: original √max(1, rows/columns), match_rms_adamw 0.2 √max(rows, columns),
//                                    spectral_unclamped √(rows/columns)
//
// X is formed in bfloat16, products are summed in float32. Convolutions count as matrices [out, in·kh·kw]; vectors go by AdamW
// with betas 0.9, 0.999 and the same rate and weight decay.
#pragma once

#include "training/optim/optimiser.h"

namespace lowrank::training {

class Muon : public Optimiser {
 public:
  Muon(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments);

 private:
  void update(double factor) override;
  at::Tensor orthogonal(const at::Tensor& matrix) const;
  double adjustment(double rows, double columns) const;
  void update_vector(std::size_t i, double rate);

  const double momentum_, weight_decay_, eps_, ns_steps_, adjust_;
  const bool nesterov_;
  std::vector<at::Tensor> b_;      // of matrices
  std::vector<at::Tensor> m_, v_;  // of vectors
};

}  // namespace lowrank::training
