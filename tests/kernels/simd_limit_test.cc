// What $LOWRANK_SIMD does to a process, each time in a child of this one: it cannot be taken back.
#include "kernels/simd_limit.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {
namespace {

// 0 when, with the variable set to `asked`, nothing better than `best` is left, libtorch is told so and the matrix unit
// is off.
int status_of(const char* asked, std::int64_t best, const char* libtorch) {
  unsetenv("ATEN_CPU_CAPABILITY");
  setenv("LOWRANK_SIMD", asked, 1);
  limit_simd_as_asked();
  if ((hwy::SupportedTargets() & (best - 1)) != 0) return 1;
  const char* const told = std::getenv("ATEN_CPU_CAPABILITY");
  if ((told == nullptr) != (libtorch == nullptr)) return 2;
  if (told != nullptr && std::strcmp(told, libtorch) != 0) return 3;
  return amx_block_kernel() == nullptr && &block_kernel() == &simd_block_kernel() ? 0 : 4;
}

class SimdLimit : public ::testing::Test {
 protected:
  SimdLimit() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }  // other tests have started threads
};

TEST_F(SimdLimit, HoldsKernelsAndLibtorchToTheSetThatWasAsked) {
  EXPECT_EXIT(std::_Exit(status_of("SSE4", HWY_SSE4, "default")), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::_Exit(status_of("AVX2", HWY_AVX2, "avx2")), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::_Exit(status_of("AVX3", HWY_AVX3, nullptr)), ::testing::ExitedWithCode(0), "");
}

TEST_F(SimdLimit, RefusesAWordThatItDoesNotKnow) {
  setenv("LOWRANK_SIMD", "avx2", 1);
  EXPECT_THROW(limit_simd_as_asked(), Error);
  unsetenv("LOWRANK_SIMD");
  limit_simd_as_asked();
  EXPECT_FALSE(is_simd_limited());
}

}  // namespace
}  // namespace lowrank::kernels
