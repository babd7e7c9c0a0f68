#include "kernels/simd_limit.h"

#include <hwy/targets.h>

#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace lowrank::kernels {

void limit_simd_as_asked() {
  const char* const asked = std::getenv("LOWRANK_SIMD");
  if (asked == nullptr || *asked == 0) return;
  // Better targets are lower bits.
  for (const auto& [name, target] :
       {std::pair{std::string_view("SSE4"), HWY_SSE4}, {"AVX2", HWY_AVX2}, {"AVX3", HWY_AVX3}}) {
    if (name == asked) return hwy::DisableTargets(target - 1);
  }
  throw Error(kBadInput, "LOWRANK_SIMD is '{}', but must be SSE4, AVX2 or AVX3.", asked);
}

}  // namespace lowrank::kernels
