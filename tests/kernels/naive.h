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

inline std::vector<float> random_numbers(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
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
