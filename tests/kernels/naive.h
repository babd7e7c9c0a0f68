// What the kernels' tests share: the kernels of all instruction sets this machine has, numbers to feed them,
// and a comparison with loops in float64.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels::testing {

// Calls body for each instruction set that was compiled in and is at hand, each with each block kernel.
inline void for_each_kernel(const std::function<void(const BlockKernel&)>& body) {
  const std::int64_t supported = hwy::SupportedTargets();
  for (const std::int64_t target : {HWY_EMU128, HWY_SSE4, HWY_AVX2, HWY_AVX3, HWY_NEON}) {
    if ((target & supported) == 0) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body(simd_block_kernel());
  }
  hwy::SetSupportedTargetsForTest(0);
  if (amx_block_kernel() != nullptr) {
    SCOPED_TRACE("AMX");
    body(*amx_block_kernel());
  }
}

// The same for those that multiply bfloat16; the emulated one is always among them.
inline void for_each_bf16_kernel(const std::function<void(const BlockKernel&)>& body) {
  for (const BlockKernel* kernel : block_kernels()) {
    if (kernel->precision != Precision::kBfloat16) continue;
    SCOPED_TRACE(std::string(kernel->name));
    body(*kernel);
  }
}

inline std::vector<float> random_numbers(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

// To the nearest bfloat16, ties to even: by whole multiples of the last place, not by bits.
inline float nearest_bfloat16(float x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  const float last_place = std::ldexp(1.0F, exponent - 8);
  return std::nearbyint(x / last_place) * last_place;
}
inline std::vector<float> in_bfloat16(std::vector<float> numbers) {
  for (float& number : numbers) number = nearest_bfloat16(number);
  return numbers;
}

// x · wᵀ, x [rows][depth], w [outputs][depth].
inline std::vector<double> naive_product(const std::vector<float>& x, const std::vector<float>& w,
                                         std::int64_t rows, std::int64_t outputs, std::int64_t depth) {
  std::vector<double> result(static_cast<std::size_t>(rows * outputs));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      for (std::int64_t k = 0; k < depth; ++k)
        sum += static_cast<double>(x[static_cast<std::size_t>(r * depth + k)]) *
               static_cast<double>(w[static_cast<std::size_t>(o * depth + k)]);
      result[static_cast<std::size_t>(r * outputs + o)] = sum;
    }
  }
  return result;
}

// Largest |ours − exact| ≤ rel · largest |exact|. 1e-4 allows for sums of some thousand float32 products, and
// of split numbers (Note [split numbers]), a tenth of what a picture may differ by.
inline ::testing::AssertionResult close(const std::vector<float>& ours, const std::vector<double>& exact,
                                        double rel = 1e-4) {
  if (ours.size() != exact.size()) return ::testing::AssertionFailure() << "sizes differ";
  double scale = 0, worst = 0;
  std::size_t place = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    scale = std::max(scale, std::abs(exact[i]));
    const double error = std::abs(static_cast<double>(ours[i]) - exact[i]);
    if (!(error <= worst)) {
      worst = error;
      place = i;
    }
  }
  if (worst <= rel * scale) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "at " << place << ": ours " << ours[place] << ", exact " << exact[place] << ", error "
         << worst / scale << " of the largest number";
}

}  // namespace lowrank::kernels::testing
