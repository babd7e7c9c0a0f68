#include "kernels/product/epilogue.h"

#include <cstring>

#include "kernels/product/block_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/product/epilogue.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/simd_math.inc"

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));
using Vector = hn::Vec<Floats>;

// Vectors of which only the first `count` numbers exist.
HWY_INLINE Vector load(const float* from, std::int64_t count) {
  if (count >= kLanes) return hn::LoadU(kFloats, from);
  HWY_ALIGN float whole[kPanel] = {};
  std::memcpy(whole, from, static_cast<std::size_t>(count) * sizeof(float));
  return hn::Load(kFloats, whole);
}
HWY_INLINE void store(Vector v, float* to, std::int64_t count) {
  if (count >= kLanes) return hn::StoreU(v, kFloats, to);
  HWY_ALIGN float whole[kPanel];
  hn::Store(v, kFloats, whole);
  std::memcpy(to, whole, static_cast<std::size_t>(count) * sizeof(float));
}

template <Activation kActivation>
void finish(const SumBlock& block, const Epilogue& e, float* result, std::int64_t stride) {
  constexpr bool kGated = kActivation == Activation::kGated;
  const std::int64_t half = block.outputs / 2;
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const std::int64_t row = block.row + r;
    const float* const sums = block.sums + r * block.stride;
    const float* const group =
        e.group_bias == nullptr ? nullptr : e.group_bias + row / e.rows_per_group * block.outputs;
    for (std::int64_t c = 0; c < block.columns; c += kLanes) {
      const std::int64_t column = block.column + c, count = block.columns - c;
      const auto biased = [&](Vector v, std::int64_t output) {
        if (e.bias != nullptr) v = hn::Add(v, load(e.bias + output, count));
        if (group != nullptr) v = hn::Add(v, load(group + output, count));
        return v;
      };
      Vector v;
      if constexpr (kGated) {  // panels of values and of their gates alternate
        const std::int64_t at = c / kPanel * 2 * kPanel + c % kPanel;
        v = biased(hn::LoadU(kFloats, sums + at), column);
        v = hn::Mul(v,
                    gaussian_gated(kFloats, biased(hn::LoadU(kFloats, sums + at + kPanel), half + column)));
      } else {
        v = biased(hn::LoadU(kFloats, sums + c), column);
      }
      if constexpr (kActivation == Activation::kSilu) v = sigmoid_gated(kFloats, v, 1.0F);
      if constexpr (kActivation == Activation::kQuickGelu) v = sigmoid_gated(kFloats, v, 1.702F);
      if constexpr (kActivation == Activation::kGelu) v = gaussian_gated(kFloats, v);
      if (e.residual != nullptr) v = hn::Add(v, load(e.residual + row * e.residual_stride + column, count));
      store(v, result + row * stride + column, count);
    }
  }
}

void finish_any(const SumBlock& block, const Epilogue& epilogue, float* result, std::int64_t stride) {
  switch (epilogue.activation) {
    case Activation::kNone:
      return finish<Activation::kNone>(block, epilogue, result, stride);
    case Activation::kSilu:
      return finish<Activation::kSilu>(block, epilogue, result, stride);
    case Activation::kGelu:
      return finish<Activation::kGelu>(block, epilogue, result, stride);
    case Activation::kQuickGelu:
      return finish<Activation::kQuickGelu>(block, epilogue, result, stride);
    case Activation::kGated:
      return finish<Activation::kGated>(block, epilogue, result, stride);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(finish_any);

void finish_block(const SumBlock& block, const Epilogue& epilogue, float* result, std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(finish_any)(block, epilogue, result, stride);
}

}  // namespace lowrank::kernels
#endif
