// 3×3 convolutions of stride 1 by Winograd's minimal filtering (winograd_transforms.h).
//
// Transformed filters would be four times as large as the stored ones, so they are made block by block, from
// the stored numbers, each time they are used; that costs a few per cent. The error is some ten times that of
// a plain float32 sum: about 1e-6 of the largest number, of 1e-3 allowed.
#pragma once

#include <optional>

#include "kernels/convolution/winograd_transforms.h"
#include "kernels/product/left_factor.h"
#include "kernels/product/product.h"

namespace lowrank::kernels {

// The cheapest form for the convolution of a map under a window; none where a plain product with that kernel is
// faster.
std::optional<WinogradForm> winograd_form(const Map& map, const Window& window, const PackedWeights& weights,
                                          const BlockKernel& kernel);

enum class Start { kZero, kResult };  // kResult: the sums begin with what the result holds

// result [batch · out_height · out_width][outputs] = epilogue(start + map ⊛ weights). The window is of a 3×3
// kernel with stride 1 and any padding or up-sampling; kDoubled needs one that sees every pixel twice. No gated
// activation. Equal bit for bit on any number of threads. Always in portable SIMD.
void winograd(WinogradForm form, const Map& map, const Window& window, const PackedWeights& weights,
              float* result, Start start, const Epilogue& epilogue, int threads);

}  // namespace lowrank::kernels
