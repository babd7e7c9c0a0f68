// The model's operations on our own kernels: without gradients, on the CPU, results in float32. Maps lie in memory as
// [B, H, W, C] (ops.h Note [channels last]); results are equal bit for bit on any number of threads. `kernel` forms the
// products, in its precision.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/product/packed_weights.h"
#include "model/ops/operands.h"

namespace lowrank::model::kernel_ops {

// A convolution's weights and the size of its window.
struct Filter {
  const kernels::PackedWeights& packed;
  std::int64_t height, width;
};

// As in ops.h. The weights of a linear layer that is followed by kGeglu are packed as PanelOrder::kGated.
at::Tensor linear(const at::Tensor& x, const kernels::PackedWeights& w, const at::Tensor& b,
                  std::span<const ops::LowRank* const> low_rank, const ops::Fused& fused,
                  const kernels::BlockKernel& kernel);
at::Tensor conv2d(const at::Tensor& x, const Filter& w, const at::Tensor& b,
                  std::span<const ops::LowRank* const> low_rank, const ops::ConvGeometry& geometry,
                  const ops::Fused& fused, const kernels::BlockKernel& kernel);
// The gradient of such a convolution's input, height × width, from that of its output. `turned`: its weights with
// inputs and outputs exchanged and the kernel turned by half a circle.
at::Tensor conv2d_gradient(const at::Tensor& dy, const Filter& turned, const ops::ConvGeometry& geometry,
                           std::int64_t height, std::int64_t width, const kernels::BlockKernel& kernel);
at::Tensor conv2d_of_norm(const at::Tensor& x, const ops::GroupNorm& norm, const Filter& w,
                          const at::Tensor& b, const ops::ConvGeometry& geometry, const ops::Fused& fused,
                          const kernels::BlockKernel& kernel);
// A convolution of 1×1 with no more outputs than inputs, laid over its input [B, H, W, in], which is lost.
at::Tensor conv2d_in_place(const at::Tensor& x, const kernels::PackedWeights& w, const at::Tensor& b,
                           const kernels::BlockKernel& kernel);
at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, ops::Activation activation);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps);
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     ops::Mask mask, const kernels::BlockKernel& kernel);

// Attention that is learned through: what its backward pass needs, and that pass.
struct Attended {
  at::Tensor q, k, v, y;  // [B, N, C] and [B, M, C], lying as such
  at::Tensor log_sums;    // [B, heads, N]
  std::int64_t heads = 1;
  ops::Mask mask = ops::Mask::kNone;
};
struct AttentionGradients {
  at::Tensor q, k, v;
};
Attended attention_to_learn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                            ops::Mask mask, const kernels::BlockKernel& kernel);
AttentionGradients attention_gradient(const at::Tensor& dy, const Attended& attended,
                                      const kernels::BlockKernel& kernel);

}  // namespace lowrank::model::kernel_ops
