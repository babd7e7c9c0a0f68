// The tensor operations of the model, in one place: the only file that chooses between libtorch and our own kernels.
// All take and return tensors in NCHW or [B, N, C] order. `compute` is the type in which products are formed; norms
// and softmax always run in float32. Differentiable when gradients are on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowrank::model::ops {

// x [.., in] · wᵀ + b, w [out, in] of any float type. Result in `compute`.
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, at::ScalarType compute);

// x [B, in, H, W] ⊛ w [out, in, kh, kw] + b.
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, std::int64_t stride,
                  std::int64_t padding, at::ScalarType compute);

// Group normalisation (Wu & He 2018) over `groups` groups of channels of x [B, C, H, W]; float32.
at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b, double eps);

// Layer normalisation over the last dimension; float32.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps);

at::Tensor silu(const at::Tensor& x);
at::Tensor gelu(const at::Tensor& x);        // exact, with erf
at::Tensor quick_gelu(const at::Tensor& x);  // x · sigmoid(1.702 x), as OpenAI's CLIP

enum class Mask { kNone, kCausal };

// Scaled dot-product attention with `heads` heads: q [B, N, C], k and v [B, M, C] → [B, N, C]. Without gradients the
// score matrix is formed in strips of queries, so that it never exceeds some 64 MB.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads, Mask mask);

}  // namespace lowrank::model::ops
