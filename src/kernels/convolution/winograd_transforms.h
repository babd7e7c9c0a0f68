// The three transforms of Winograd's minimal filtering (Lavin & Gray 2015, arXiv:1509.09308), in portable SIMD:
//
//   Y = Aᵀ [ (G g Gᵀ) ∘ (Bᵀ d B) ] A       d: input tile, g: filter, Y: output tile
//
// A tile of `side` × `side` inputs has as many frequencies, and becomes outputs × outputs outputs.
#pragma once

#include <cstdint>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

enum class WinogradForm {
  kFour,  // F(4×4, 3×3), points 0, ±1, ±2, ∞: 36 products for 16 outputs, where a plain convolution makes 144
  kTwo,  // F(2×2, 3×3), points 0, ±1, ∞: 16 for 4, where few outputs leave no use for larger tiles
  // A 3×3 filter over a map in which each pixel stands twice in each direction is four filters of 2×2 over the map
  // itself, one for each place in a pair of outputs: F(5×5, 2×2) with the points of kFour, 144 products for 100
  // outputs. All four read the same transformed input.
  kDoubled,
};

struct WinogradSizes {
  std::int64_t side, outputs, filters;
  constexpr std::int64_t frequencies() const { return side * side; }
  constexpr std::int64_t pixels() const { return outputs * outputs; }
};
constexpr WinogradSizes sizes_of(WinogradForm form) {
  switch (form) {
    case WinogradForm::kFour:
      return {6, 4, 1};
    case WinogradForm::kTwo:
      return {4, 2, 1};
    case WinogradForm::kDoubled:
      return {6, 5, 4};
  }
  return {};
}
constexpr std::int64_t kMostFrequencies = 36, kMostPixels = 25;

// Bᵀ d B. `pixels`: those of a tile, null where there are zeros, from the first of `channels` channels on.
// Frequency f goes to to[f].
void transform_input(WinogradForm form, const float* const* pixels, std::int64_t channels, float* const* to);

// G g Gᵀ for `depth` inputs of one panel, whose taps are tap_stride numbers apart. Frequency f goes to
// to + f · frequency_stride. `filter` 2 · y + x of kDoubled: y and x are 0 for the first output of a pair.
void transform_panel(WinogradForm form, std::int64_t filter, const void* panel, Number number,
                     std::int64_t depth, std::int64_t tap_stride, float* to, std::int64_t frequency_stride);

// Aᵀ m A: sums of one tile, frequency_stride apart, `columns` each (a multiple of 16) → pixels, pixel_stride
// apart.
void transform_output(WinogradForm form, const float* sums, std::int64_t frequency_stride,
                      std::int64_t columns, float* to, std::int64_t pixel_stride);

// to += from.
void add_row(const float* from, std::int64_t count, float* to);

}  // namespace lowrank::kernels
