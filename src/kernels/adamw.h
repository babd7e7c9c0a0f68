// The optimiser's update as one pass over memory; tensor operations would need a dozen, and it is bound by
// bandwidth.
#pragma once

#include <cstdint>

namespace lowrank::kernels {

struct AdamWFactors {
  float beta1, beta2, eps;
  float learning_rate;        // already divided by 1 − β₁ᵗ
  float keep;                 // 1 − learning rate · weight decay
  float inverse_correction2;  // 1 / √(1 − β₂ᵗ)
};

// For i < count: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← keep·w − lr·m / (√v·c + ε). Arrays must not
// overlap.
void adamw_update(float* w, float* m, float* v, const float* g, std::int64_t count,
                  const AdamWFactors& factors);

// average ← average + (w − average)·rate.
void move_average(float* average, const float* w, std::int64_t count, float rate);

}  // namespace lowrank::kernels
