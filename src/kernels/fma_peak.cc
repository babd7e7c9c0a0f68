#include "kernels/fma_peak.h"

#include <atomic>
#include <cstdint>

#include "base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fma_peak.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
constexpr Floats kFloats;

// Ten chains hide the latency of four cycles on two ports and fit the registers of every target. Returns the
// number of multiply-adds; the sums go to `sink`, so that they are made.
std::int64_t chains(std::int64_t rounds, float* sink) {
  constexpr int kChains = 10;
  const auto factor = hn::Set(kFloats, 0.999F), term = hn::Set(kFloats, 1e-3F);
  hn::Vec<Floats> sums[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = hn::Set(kFloats, static_cast<float>(i));
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], factor, term);
  }
  auto all = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kChains; ++i) all = hn::Add(all, sums[i]);
  *sink = hn::GetLane(all);
  return rounds * kChains * static_cast<std::int64_t>(hn::MaxLanes(kFloats));
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(chains);

double fma_flops(int threads) {
  constexpr std::int64_t kRounds = 1 << 20;
  std::atomic<std::int64_t> count{0};
  parallel_for(threads * 10, threads, [&](std::int64_t) {
    float sink = 0;
    count += HWY_DYNAMIC_DISPATCH(chains)(kRounds, &sink);
    volatile float kept = sink;
    static_cast<void>(kept);
  });
  return 2 * static_cast<double>(count.load());
}

}  // namespace lowrank::kernels
#endif
