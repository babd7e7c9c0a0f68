// The products of layers whose own weights are fixed, differentiable in their input, on our own kernels both
// ways: what a LoRA's training does most of its time. On the CPU, results in float32; `kernel` forms the products.
//
//   linear        y = x · wᵀ + b           dx = dy · w
//   convolution   y = x ⊛ w + b            dx = dy, spread by the stride, ⊛ turned w,
//                                          inputs and outputs exchanged
//   attention     P = softmax(s Q Kᵀ)      dV = Pᵀ dY, dS = P ∘ (dY Vᵀ − rows of Σ dY ∘ Y),
//                 Y = P V                  dQ = s dS K, dK = s dSᵀ Q
//
// Attention keeps Y instead of P and forms P again, a strip of queries at a time (kernels/attention_gradient.h).
#pragma once

#include "kernels/product/block_kernel.h"
#include "model/ops/operands.h"

namespace lowrank::model::gradient_ops {

// As in ops.h. Neither weight nor bias gets a gradient.
at::Tensor linear(const at::Tensor& x, const ops::Weight& w, const at::Tensor& b,
                  const kernels::BlockKernel& kernel);
at::Tensor conv2d(const at::Tensor& x, const ops::Weight& w, const at::Tensor& b,
                  const ops::ConvGeometry& geometry, const kernels::BlockKernel& kernel);
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     ops::Mask mask, const kernels::BlockKernel& kernel);

}  // namespace lowrank::model::gradient_ops
