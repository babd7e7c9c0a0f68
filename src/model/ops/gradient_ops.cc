#include "model/ops/gradient_ops.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <utility>

#include "model/ops/kernel_ops.h"

namespace lowrank::model::gradient_ops {
namespace {

using kernels::BlockKernel;
using kernels::PackedWeights;
using torch::autograd::Node;
using torch::autograd::variable_list;

template <typename Kind, typename... Fields>
std::shared_ptr<Node> make_node(Fields&&... fields) {
  return {new Kind(std::forward<Fields>(fields)...), torch::autograd::deleteNode};
}

// y, made from `inputs`, with `node` as its origin.
template <typename... Inputs>
at::Tensor with_origin(at::Tensor y, const std::shared_ptr<Node>& node, const Inputs&... inputs) {
  node->set_next_edges(torch::autograd::collect_next_edges(inputs...));
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

// Products of a backward pass are not learned through once more.
struct LinearBackward : Node {
  LinearBackward(std::shared_ptr<const PackedWeights> w, const BlockKernel& kernel_)
      : transposed(std::move(w)), kernel(kernel_) {}
  std::string name() const override { return "LinearBackward"; }
  variable_list apply(variable_list&& dy) override {
    if (!dy[0].defined()) return {at::Tensor()};
    const at::NoGradGuard no_grad;
    return {kernel_ops::linear(dy[0], *transposed, {}, {}, {}, kernel)};
  }
  std::shared_ptr<const PackedWeights> transposed;
  const BlockKernel& kernel;
};

struct ConvolutionBackward : Node {
  explicit ConvolutionBackward(const BlockKernel& kernel_) : kernel(kernel_) {}
  std::string name() const override { return "ConvolutionBackward"; }
  variable_list apply(variable_list&& dy) override {
    if (!dy[0].defined()) return {at::Tensor()};
    const at::NoGradGuard no_grad;
    return {kernel_ops::conv2d_gradient(dy[0], {*turned, kernel_height, kernel_width}, geometry, height,
                                        width, kernel)};
  }
  std::shared_ptr<const PackedWeights> turned;
  std::int64_t kernel_height = 0, kernel_width = 0;
  ops::ConvGeometry geometry;
  std::int64_t height = 0, width = 0;  // of the input
  const BlockKernel& kernel;
};

// ── attention ───────────────────────────────────────────────────────────────────────────────────────────

struct AttentionBackward : Node {
  AttentionBackward(kernel_ops::Attended attended_, const BlockKernel& kernel_)
      : attended(std::move(attended_)), kernel(kernel_) {}
  std::string name() const override { return "AttentionBackward"; }
  void release_variables() override { attended = {}; }

  variable_list apply(variable_list&& dy) override {
    if (!dy[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    const at::NoGradGuard no_grad;
    kernel_ops::AttentionGradients all = kernel_ops::attention_gradient(dy[0], attended, kernel);
    return {std::move(all.q), std::move(all.k), std::move(all.v)};
  }

  kernel_ops::Attended attended;
  const BlockKernel& kernel;
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const ops::Weight& w, const at::Tensor& b, const BlockKernel& kernel) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = kernel_ops::linear(x, w.packed(false), b, {}, {}, kernel);
  }
  return x.requires_grad() ? with_origin(y, make_node<LinearBackward>(w.packed_transposed(), kernel), x) : y;
}

at::Tensor conv2d(const at::Tensor& x, const ops::Weight& w, const at::Tensor& b,
                  const ops::ConvGeometry& geometry, const BlockKernel& kernel) {
  const std::int64_t height = w.tensor.size(2), width = w.tensor.size(3);
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = kernel_ops::conv2d(x, {w.packed(false), height, width}, b, {}, geometry, {}, kernel);
  }
  if (!x.requires_grad()) return y;
  const std::shared_ptr<ConvolutionBackward> backward(new ConvolutionBackward(kernel),
                                                      torch::autograd::deleteNode);
  backward->turned = w.packed_transposed();
  backward->kernel_height = height, backward->kernel_width = width;
  backward->geometry = geometry;
  backward->height = x.size(2), backward->width = x.size(3);
  return with_origin(y, backward, x);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     ops::Mask mask, const BlockKernel& kernel) {
  const bool learns = torch::autograd::any_variable_requires_grad({q, k, v});
  kernel_ops::Attended attended;
  {
    const at::NoGradGuard no_grad;
    if (!learns) return kernel_ops::attention(q, k, v, heads, mask, kernel);
    attended = kernel_ops::attention_to_learn(q.detach(), k.detach(), v.detach(), heads, mask, kernel);
  }
  const at::Tensor y = attended.y.detach();
  return with_origin(y, make_node<AttentionBackward>(std::move(attended), kernel), q, k, v);
}

}  // namespace lowrank::model::gradient_ops
