// Merging of similar tokens before self-attention (Bolya & Hoffman 2023, "Token Merging for Fast Stable
// Diffusion", arXiv:2303.17604), as A1111 uses it: of each 2×2 cells of a map the first is kept, the most
// similar ones of the others are averaged into the kept cell that they resemble most, and after attention each
// merged token receives its kept cell's result. A shortcut: the picture changes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowrank::model {

class TokenMerging {
 public:
  // x float32 [B, height · width, C]. `ratio` 0 … 1 of all tokens are to be merged; at most three quarters can
  // be. Similarity is the cosine of the vectors.
  TokenMerging(const at::Tensor& x, std::int64_t height, std::int64_t width, double ratio);

  bool is_idle() const { return merged_ == 0; }  // merge() would return what it is given
  // [B, N, C] → [B, N − merged, C]: the tokens left alone, then the kept cells.
  at::Tensor merge(const at::Tensor& x) const;
  // The reverse: [B, N − merged, C] → [B, N, C].
  at::Tensor unmerge(const at::Tensor& y) const;

 private:
  std::int64_t tokens_, merged_ = 0;
  at::Tensor kept_;          // int64 [K]: places of the kept cells
  at::Tensor alone_, away_;  // int64 [B, …]: places of the tokens left alone and of those merged
  at::Tensor into_;          // int64 [B, merged]: the kept cell, counted among them, of each merged token
};

}  // namespace lowrank::model
