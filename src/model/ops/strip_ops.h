// Residual blocks of a VAE in little more memory than their result takes, for pictures whose maps are large: maps are
// made strip by strip, as often as they are needed. Equal bit for bit to making them whole.
//
// A group norm must have seen a whole map before its first number can be normalised. So a map that is not kept is made
// once for the norm's sums and again for what follows: at 1024×1024 a decoder then takes some 0.9 GB instead of 1.6 GB,
// and a seventh more time (estimated from what is made twice).
#pragma once

#include <optional>

#include "model/ops/kernel_ops.h"

namespace lowrank::model::strip_ops {

struct Conv {
  kernel_ops::Filter filter;
  at::Tensor bias;
};

// y = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))), 3×3 both; no shortcut: x itself.
struct ResBlock {
  ops::GroupNorm norm1;
  Conv conv1;
  ops::GroupNorm norm2;
  Conv conv2;
  std::optional<Conv> shortcut;  // 1×1
};

// Of x [B, C, H, W] in channels-last order, float32. The result, of as many channels, takes x's memory; no shortcut.
at::Tensor res_block(at::Tensor x, const ResBlock& block);

// Of up(x doubled by the nearest pixel), [B, C, 2H, 2W], which is never whole. x in any order.
at::Tensor res_block_of_doubled(const at::Tensor& x, const Conv& up, const ResBlock& block);

}  // namespace lowrank::model::strip_ops
