#include "kernels/adamw.h"

#include <cmath>

namespace lowrank::kernels {

void adamw_update(float* __restrict w, float* __restrict m, float* __restrict v, const float* __restrict g,
                  std::int64_t count, const AdamWFactors& factors) {
  const AdamWFactors f = factors;
  for (std::int64_t i = 0; i < count; ++i) {
    m[i] += (g[i] - m[i]) * (1 - f.beta1);
    v[i] = v[i] * f.beta2 + g[i] * g[i] * (1 - f.beta2);
    w[i] = w[i] * f.keep - f.learning_rate * m[i] / (std::sqrt(v[i]) * f.inverse_correction2 + f.eps);
  }
}

void move_average(float* __restrict average, const float* __restrict w, std::int64_t count, float rate) {
  for (std::int64_t i = 0; i < count; ++i) average[i] += (w[i] - average[i]) * rate;
}

}  // namespace lowrank::kernels
