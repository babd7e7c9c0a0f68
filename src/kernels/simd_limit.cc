#include "kernels/simd_limit.h"

#include <hwy/targets.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace lowrank::kernels {
namespace {

std::atomic<bool> is_limited = false;

}  // namespace

bool is_simd_limited() {
  return is_limited;
}

void limit_simd_as_asked() {
  const char* const asked = std::getenv("LOWRANK_SIMD");
  if (asked == nullptr || *asked == 0) return;
  struct Limit {
    std::string_view name;
    std::int64_t target;   // better ones are lower bits
    const char* libtorch;  // its word for it; it reads this variable at its first operation
  };
  constexpr Limit kLimits[] = {
      {"SSE4", HWY_SSE4, "default"}, {"AVX2", HWY_AVX2, "avx2"}, {"AVX3", HWY_AVX3, "avx512"}};
  for (const Limit& limit : kLimits) {
    if (limit.name != asked) continue;
    hwy::DisableTargets(limit.target - 1);
    if (limit.target != HWY_AVX3) setenv("ATEN_CPU_CAPABILITY", limit.libtorch, 0);
    is_limited = true;
    return;
  }
  throw Error(kBadInput, "LOWRANK_SIMD is '{}', but must be SSE4, AVX2 or AVX3.", asked);
}

}  // namespace lowrank::kernels
