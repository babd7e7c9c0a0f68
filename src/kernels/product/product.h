// Linear layers and convolutions: products of a left factor with packed weights, with all that follows
// element by element done while the sums are in the cache.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/product/left_factor.h"
#include "kernels/product/packed_weights.h"

namespace lowrank::kernels {

// kGated: the weights are in PanelOrder::kGated; the result has half as many columns, value · gelu(gate) each
// (GEGLU, Shazeer 2020).
enum class Activation { kNone, kSilu, kGelu, kQuickGelu, kGated };

// result = activation(sum + bias + group_bias[row / rows_per_group]) + residual. Null pointers add nothing.
struct Epilogue {
  const float* bias = nullptr;        // [outputs]
  const float* group_bias = nullptr;  // [groups][outputs]
  std::int64_t rows_per_group = 1;
  const float* residual = nullptr;  // [rows], residual_stride apart; may be the result itself
  std::int64_t residual_stride = 0;
  Activation activation = Activation::kNone;
};

// One product of a sum of products. All terms have the same outputs and order of panels.
struct Term {
  const LeftFactor* left = nullptr;
  const PackedWeights* right = nullptr;
};

// result [rows][columns], rows `stride` apart = epilogue(Σ left · rightᵀ). Equal bit for bit on any number of
// threads (0: all cores). float32 throughout; how products are formed is the kernel's business.
void product(std::span<const Term> terms, std::int64_t rows, float* result, std::int64_t stride,
             const Epilogue& epilogue, int threads, const BlockKernel& kernel = block_kernel());

}  // namespace lowrank::kernels
