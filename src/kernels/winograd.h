// 3×3 convolutions of stride 1 by Winograd's minimal filtering F(4×4, 3×3): 36 products for 16 outputs where
// a plain convolution makes 144. Source: Lavin & Gray 2015 (arXiv:1509.09308), points 0, ±1, ±2 and ∞.
//
//   Y = Aᵀ [ (G g Gᵀ) ∘ (Bᵀ d B) ] A       d: 6×6 input, g: filter, Y: 4×4 output
//
// Transformed filters would be four times as large as the stored ones, so they are made block by block, from
// the stored numbers, each time they are used; that costs a few per cent. The error is some ten times that of
// a plain float32 sum: about 1e-6 of the largest number, of 1e-3 allowed.
#pragma once

#include "kernels/left_factor.h"
#include "kernels/product.h"

namespace lowrank::kernels {

// Whether this way is the faster one for the convolution of a map under a window, with that kernel.
bool winograd_pays(const Map& map, const Window& window, const PackedWeights& weights,
                   const BlockKernel& kernel);

enum class Start { kZero, kResult };  // kResult: the sums begin with what the result holds

// result [batch · out_height · out_width][outputs] = epilogue(start + map ⊛ weights). The window is of a 3×3
// kernel with stride 1 and any padding or up-sampling; no gated activation. Equal bit for bit on any number
// of threads. Always in portable SIMD.
void winograd(const Map& map, const Window& window, const PackedWeights& weights, float* result, Start start,
              const Epilogue& epilogue, int threads);

}  // namespace lowrank::kernels
