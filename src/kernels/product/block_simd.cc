// The block product in portable SIMD (Highway), compiled for several instruction sets and chosen at run time.
//
// Note [register tile]: a tile of kRows × (kPairs · 16) sums stays in registers while one column of the left
// block at a time is broadcast against one row of the panels. 12 × 32 on AVX-512 (24 of 32 registers), 6 × 16
// on AVX2 (12 of 16): both ports of the multiplier stay busy (latency 4 × 2 ports = 8 sums at least), and a
// tile loads fewer numbers than it multiplies.
#include <algorithm>
#include <cstring>

#include "kernels/product/block_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/product/block_simd.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));
constexpr std::int64_t kVectors = kPanel / kLanes;  // of a panel's row
constexpr std::int64_t kLeftRow = kRowBytes / 4;

#include "kernels/product/stored_numbers.inc"

// See Note [register tile]. 32 registers: AVX-512, NEON. 16: AVX2, SSE.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 12, kPairs = 2;
#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
constexpr int kRows = 6, kPairs = 1;
#else
constexpr int kRows = 2, kPairs = 1;
#endif

template <int kTileRows, int kTilePanels>
HWY_INLINE void tile(const float* HWY_RESTRICT left, const float* HWY_RESTRICT right,
                     std::int64_t panel_floats, std::int64_t depth, float* HWY_RESTRICT result,
                     std::int64_t stride, bool add) {
  constexpr int kAcross = static_cast<int>(kTilePanels * kVectors);
  hn::Vec<Floats> sums[kTileRows][kAcross];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kAcross; ++v)
      sums[r][v] = add ? hn::LoadU(kFloats, result + r * stride + v * kLanes) : hn::Zero(kFloats);
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    hn::Vec<Floats> row[kAcross];
#pragma GCC unroll 16
    for (int v = 0; v < kAcross; ++v) {
      const std::int64_t panel = v / kVectors, vector = v % kVectors;
      row[v] = hn::LoadU(kFloats, right + panel * panel_floats + k * kPanel + vector * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const auto x = hn::Set(kFloats, left[r * kLeftRow + k]);
#pragma GCC unroll 16
      for (int v = 0; v < kAcross; ++v) sums[r][v] = hn::MulAdd(x, row[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kAcross; ++v) hn::StoreU(sums[r][v], kFloats, result + r * stride + v * kLanes);
  }
}

#include "kernels/product/row_tiles.inc"

void multiply(const void* left, std::int64_t rows, const void* right, std::int64_t panels, std::int64_t depth,
              float* result, std::int64_t stride, bool add) {
  multiply_tiles(static_cast<const float*>(left), rows, static_cast<const float*>(right), panels,
                 panel_bytes(depth) / 4, depth, result, stride, add);
}

void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* const row = static_cast<float*>(block) + r * kLeftRow + at;
    const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
    if (source[r] == nullptr) {
      std::memset(row, 0, bytes);
    } else {
      std::memcpy(row, source[r], bytes);
    }
  }
}

void finish_depth(std::int64_t, std::int64_t, void*) {}  // a depth of any size is multiplied as it is

void pack_panel(const void* source, Number number, std::int64_t depth, void* panel) {
  auto* out = static_cast<float*>(panel);
  with_numbers(source, number, [&](const auto& load) HWY_ATTR {
    for (std::int64_t i = 0; i < depth * kPanel; i += kLanes) hn::StoreU(load(i), kFloats, out + i);
  });
}

void pack_columns(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                  void* panel) {
  auto* out = static_cast<float*>(panel);
  for (std::int64_t k = 0; k < depth; ++k, out += kPanel) {
    std::memcpy(out, source + k * stride, static_cast<std::size_t>(columns) * sizeof(float));
    std::memset(out + columns, 0, static_cast<std::size_t>(kPanel - columns) * sizeof(float));
  }
}

void pack_transposed(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                     void* panel) {
  auto* out = static_cast<float*>(panel);
  if (columns < kPanel) std::memset(out, 0, static_cast<std::size_t>(depth * kPanel) * sizeof(float));
  for (std::int64_t k = 0; k < depth; ++k)
    for (std::int64_t c = 0; c < columns; ++c) out[k * kPanel + c] = source[c * stride + k];
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(multiply);
HWY_EXPORT(pack_rows);
HWY_EXPORT(finish_depth);
HWY_EXPORT(pack_panel);
HWY_EXPORT(pack_columns);
HWY_EXPORT(pack_transposed);

const BlockKernel& simd_block_kernel() {
  // Looked up at each call, so that a test can switch instruction sets.
  static constexpr BlockKernel kKernel = {
      .name = "simd",
      .precision = Precision::kFloat32,
      .left_is_floats = true,
      .number_bytes = 4,
      .is_slower_than_winograd = true,
      .pack_rows =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(pack_rows)
            (a...);
          },
      .finish_depth =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(finish_depth)
            (a...);
          },
      .pack_panel =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(pack_panel)
            (a...);
          },
      .pack_columns =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(pack_columns)
            (a...);
          },
      .pack_transposed =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(pack_transposed)
            (a...);
          },
      .multiply =
          [](auto... a) {
            HWY_DYNAMIC_DISPATCH(multiply)
            (a...);
          },
  };
  return kKernel;
}

}  // namespace lowrank::kernels
#endif
