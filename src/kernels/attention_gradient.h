// The gradients of attention without the matrix of its weights: blocks of keys walk over strips of queries, and weights
// are made once more from the logarithms of their sums. Source: Dao 2023 (arXiv:2307.08691), algorithm 2.
//
//   P = softmax(s Q Kᵀ), Y = P V         dV = Pᵀ dY,  dS = s P ∘ (dY Vᵀ − rows of Σ dY ∘ Y)
//                                        dQ = dS K,   dK = dSᵀ Q                   s = 1 / √head
#pragma once

#include "kernels/attention.h"
#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

// What attention() took and gave: q, y, dy [batch][queries][heads·head], k and v [batch][keys][heads·head], log_sums
// [batch][heads][queries].
struct AttentionInputs {
  const float *q, *k, *v, *y, *dy, *log_sums;
};
// As q, k and v; they are overwritten.
struct AttentionGradients {
  float *q, *k, *v;
};

// Equal bit for bit on any number of threads. Products in the kernel's precision, sums and all else in float32.
void attention_gradient(const AttentionInputs& in, const AttentionShape& shape, const AttentionGradients& out,
                        int threads, const BlockKernel& kernel = block_kernel());

}  // namespace lowrank::kernels
