// Scaled dot-product attention without the matrix of scores: blocks of queries walk over blocks of keys with
// a running maximum and sum (online softmax). Source: Milakov & Gimelshein 2018 (arXiv:1805.02867); Dao et
// al. 2022 (arXiv:2205.14135).
#pragma once

#include <cstdint>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

enum class AttentionMask { kNone, kCausal };  // kCausal: query i sees keys 0 … i

struct AttentionShape {
  std::int64_t batch = 1, heads = 1, queries = 0, keys = 0, head = 0;  // `head`: width of one head
  AttentionMask mask = AttentionMask::kNone;
};

// q [batch][queries][heads·head], k and v [batch][keys][heads·head] → result as q:
//   softmax(q·kᵀ / √head)·v for each head. Equal bit for bit on any number of threads. `keys` ≥ 1.
// `log_sums` [batch][heads][queries], if wanted: log₂ Σ exp(q·kᵀ / √head), for attention_gradient().
void attention(const float* q, const float* k, const float* v, const AttentionShape& shape, float* result,
               int threads, const BlockKernel& kernel = block_kernel(), float* log_sums = nullptr);

}  // namespace lowrank::kernels
