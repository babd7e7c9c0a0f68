// Linear layers and convolutions: products of a left factor with packed weights, with all that follows
// element by element done while the sums are in the cache.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/product/epilogue.h"
#include "kernels/product/left_factor.h"
#include "kernels/product/packed_weights.h"

namespace lowrank::kernels {

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
