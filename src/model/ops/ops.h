// The tensor operations of the model, in one place: the only file that chooses between libtorch and our own
// kernels. All take and return tensors in NCHW or [B, N, C] order. `compute` is the type in which products
// are formed: float32, bfloat16, or kChar, which multiplies the weights that are held in 8 bits with inputs rounded to 8
// bits and forms other products in bfloat16. Sums, norms and softmax are float32. Differentiable when gradients are on.
//
// Note [channels last]: without gradients and on the CPU the kernels run where they can form products of that type (all
// can in float32; multiplies_bfloat16()). Maps then lie in
// memory as [B, H, W, C] (at::MemoryFormat::ChannelsLast), so that a map and the rows [B, H·W, C] of a
// transformer are the same bytes, and whatever follows a product (Fused) is done while its result is in the
// cache. With gradients they run where the weights are fixed, as they are while a LoRA learns (gradient_ops.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "model/ops/operands.h"

namespace lowrank::model::ops {

// Derives what a product without gradients needs, where the kernels can take this weight.
void prepare(const Weight& weight, bool gated);

// Whether this processor multiplies bfloat16 faster than float32: else libtorch forms such products, more slowly.
bool multiplies_bfloat16();
// The same of 8 bits.
bool multiplies_int8();

// x [.., in] · wᵀ + b. Result in float32 from the kernels, in `compute` from libtorch.
at::Tensor linear(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const Fused& fused, at::ScalarType compute);

// x [B, in, H, W] ⊛ w + b.
at::Tensor conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const ConvGeometry& geometry, const Fused& fused,
                  at::ScalarType compute);

// The same for a convolution of 1×1 whose input nobody else holds: without gradients its result takes the
// input's memory where it fits.
at::Tensor conv2d_in_place(at::Tensor x, const Weight& w, const at::Tensor& b, at::ScalarType compute);

// What `fused` asks for, done to a finished y [.., out] or [B, out, H, W]; upsample_to is not looked at.
at::Tensor finish(at::Tensor y, const Fused& fused);
at::Tensor upsample(const at::Tensor& x, const Fused& fused);

// Group normalisation (Wu & He 2018) over `groups` groups of channels of x [B, C, H, W], then `activation`
// (none or SiLU); float32.
at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, Activation activation = Activation::kNone);

// conv2d of silu(norm(x)). Without gradients the normalised map is made strip by strip where it is large (a
// VAE's largest would take 268 MB at 512×512); equal bit for bit to making it whole.
at::Tensor conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Weight& w, const at::Tensor& b,
                          const ConvGeometry& geometry, const Fused& fused, at::ScalarType compute);

// Whether the block's maps are so large (more than a gigabyte) that they are better made strip by strip (strip_ops.h),
// and the kernels can do it. `up`: the block is of up(x doubled); null: of x.
bool wants_strips(const at::Tensor& x, const Conv* up, const ResBlock& block, at::ScalarType compute);
// The first has no shortcut, and its result takes x's memory.
at::Tensor res_block_in_strips(at::Tensor x, const ResBlock& block);
at::Tensor res_block_of_doubled_in_strips(const at::Tensor& x, const Conv& up, const ResBlock& block);

// Layer normalisation over the last dimension; float32.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps);

at::Tensor silu(const at::Tensor& x);

// Scaled dot-product attention with `heads` heads: q [B, N, C], k and v [B, M, C] → [B, N, C]. Without
// gradients the score matrix is never formed as a whole.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     Mask mask, at::ScalarType compute);

}  // namespace lowrank::model::ops
