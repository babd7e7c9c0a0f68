#include "model/ops/gradient_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>

#include <algorithm>
#include <cmath>
#include <limits>
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

// Scores of a strip: 1 MB stays in the cache.
constexpr std::int64_t kStripScores = 1 << 18;

// One head of [B, N, H · d] as [N, d], in place.
at::Tensor head_of(const at::Tensor& t, std::int64_t image, std::int64_t head, std::int64_t width) {
  return t.select(0, image).narrow(1, head * width, width);
}

struct AttentionBackward : Node {
  AttentionBackward(at::Tensor q_, at::Tensor k_, at::Tensor v_, at::Tensor y_, std::int64_t heads_,
                    ops::Mask mask_)
      : q(std::move(q_)), k(std::move(k_)), v(std::move(v_)), y(std::move(y_)), heads(heads_), mask(mask_) {}
  std::string name() const override { return "AttentionBackward"; }

  void release_variables() override {
    for (at::Tensor* t : {&q, &k, &v, &y}) t->reset();
  }

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    const at::NoGradGuard no_grad;
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dq = at::empty_like(q), dk = at::zeros_like(k), dv = at::zeros_like(v);
    // A head is one thread's alone, and its sums are always formed in the same order.
    at::parallel_for(0, q.size(0) * heads, 1, [&](std::int64_t from, std::int64_t to) {
      const at::NoGradGuard no_grad_here;
      for (std::int64_t i = from; i < to; ++i) one_head(i / heads, i % heads, dy, dq, dk, dv);
    });
    return {dq, dk, dv};
  }

  void one_head(std::int64_t image, std::int64_t head, const at::Tensor& dy_all, const at::Tensor& dq_all,
                const at::Tensor& dk_all, const at::Tensor& dv_all) const {
    const std::int64_t width = q.size(2) / heads, queries = q.size(1), keys = k.size(1);
    const double scale = 1.0 / std::sqrt(static_cast<double>(width));
    const auto part = [&](const at::Tensor& t) { return head_of(t, image, head, width); };
    const at::Tensor qs = part(q), ks = part(k), vs = part(v), ys = part(y), dys = part(dy_all);
    at::Tensor dq = part(dq_all), dk = part(dk_all), dv = part(dv_all);
    const std::int64_t rows = std::clamp<std::int64_t>(kStripScores / keys, 16, queries < 16 ? 16 : queries);
    for (std::int64_t at_row = 0; at_row < queries; at_row += rows) {
      const std::int64_t count = std::min(rows, queries - at_row);
      const auto strip = [&](const at::Tensor& t) { return t.narrow(0, at_row, count); };
      at::Tensor scores = at::mm(strip(qs), ks.t()).mul_(scale);
      if (mask == ops::Mask::kCausal) {
        const at::Tensor query = at::arange(at_row, at_row + count).unsqueeze(1);
        scores.masked_fill_(at::arange(keys).unsqueeze(0) > query, -std::numeric_limits<float>::infinity());
      }
      const at::Tensor weights = at::softmax(scores, -1);
      dv.addmm_(weights.t(), strip(dys));
      const at::Tensor mean = (strip(dys) * strip(ys)).sum(1, /*keepdim=*/true);
      const at::Tensor d_scores = at::mm(strip(dys), vs.t()).sub_(mean).mul_(weights).mul_(scale);
      strip(dq).copy_(at::mm(d_scores, ks));
      dk.addmm_(d_scores.t(), strip(qs));
    }
  }

  at::Tensor q, k, v, y;  // [B, N, H · d], lying as such
  std::int64_t heads;
  ops::Mask mask;
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
  at::Tensor qs, ks, vs, y;
  {
    const at::NoGradGuard no_grad;
    qs = q.detach().contiguous(), ks = k.detach().contiguous(), vs = v.detach().contiguous();
    y = kernel_ops::attention(qs, ks, vs, heads, mask, kernel);
  }
  if (!torch::autograd::any_variable_requires_grad({q, k, v})) return y;
  return with_origin(y, make_node<AttentionBackward>(qs, ks, vs, y.detach(), heads, mask), q, k, v);
}

}  // namespace lowrank::model::gradient_ops
