// The single-step solvers of DPM-Solver (arXiv:2206.00927), orders 1 to 3, in t = −ln sigma. Shared by DPM
// fast and DPM adaptive.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "sampling/denoiser.h"

namespace lowrank::sampling {

// One step from (x, t), remembering the model's answers, so that solvers of two orders can share them.
class DpmSolverStep {
 public:
  DpmSolverStep(Denoiser& denoiser, at::Tensor x, float t);

  // x at t_next, by the solver of that order. r1 places the first inner point of orders 2 and 3. With h =
  // t_next − t:
  //   1:  x − s'·expm1(h)·ε
  //   2:  u = x − s₁·expm1(r₁h)·ε;   x − s'·expm1(h)·ε − s'/(2r₁)·expm1(h)·(ε_u − ε)
  //   3:  inner points at ⅓ and ⅔
  at::Tensor first_order(float t_next);
  at::Tensor second_order(float t_next, float r1 = 0.5F);
  at::Tensor third_order(float t_next);

  at::Tensor denoised() const;  // at (x, t)

 private:
  at::Tensor eps_at(const at::Tensor& x, float t);
  const at::Tensor& first_inner(float r1, float h);

  Denoiser& denoiser_;
  at::Tensor x_;
  float t_;
  at::Tensor eps_;
  at::Tensor eps_inner_;  // at t + r1·h; the solvers of one step use one r1 only
};

// Where a step t → t_next with eta walks to, and the size of the noise that lifts it back to t_next's level.
struct NoisyTarget {
  float t, noise;
};
NoisyTarget noisy_target(float t, float t_next, float t_end, double eta);

}  // namespace lowrank::sampling
