#include "model/ops.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace lowrank::model::ops {
namespace {

at::Tensor in_type(const at::Tensor& t, at::ScalarType type) {
  return !t.defined() || t.scalar_type() == type ? t : t.to(type);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, at::ScalarType compute) {
  return at::linear(in_type(x, compute), in_type(w, compute), in_type(b, compute));
}

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, std::int64_t stride,
                  std::int64_t padding, at::ScalarType compute) {
  return at::conv2d(in_type(x, compute), in_type(w, compute), in_type(b, compute), stride, padding);
}

at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps) {
  return at::group_norm(in_type(x, at::kFloat), groups, in_type(w, at::kFloat), in_type(b, at::kFloat), eps);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
  return at::layer_norm(in_type(x, at::kFloat), {x.size(-1)}, in_type(w, at::kFloat), in_type(b, at::kFloat), eps);
}

at::Tensor silu(const at::Tensor& x) { return at::silu(x); }
at::Tensor gelu(const at::Tensor& x) { return at::gelu(x); }
at::Tensor quick_gelu(const at::Tensor& x) { return x * at::sigmoid(x * 1.702); }

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads, Mask mask) {
  const std::int64_t batch = q.size(0), queries = q.size(1), keys = k.size(1), width = q.size(2);
  const std::int64_t head = width / heads;
  const auto split = [&](const at::Tensor& t) {
    return t.reshape({batch, t.size(1), heads, head}).permute({0, 2, 1, 3}).reshape({batch * heads, t.size(1), head});
  };
  const at::Tensor qs = split(q * (1.0 / std::sqrt(static_cast<double>(head)))), vs = split(v);
  const at::Tensor kt = split(k).transpose(1, 2);
  at::Tensor bias;
  if (mask == Mask::kCausal) {
    bias = at::full({queries, keys}, -std::numeric_limits<float>::infinity(), qs.options().dtype(at::kFloat)).triu(1);
  }
  const auto strip = [&](std::int64_t from, std::int64_t count) {
    at::Tensor scores = at::bmm(qs.narrow(1, from, count), kt);
    if (bias.defined()) scores = scores + bias.narrow(0, from, count).to(scores.scalar_type());
    const at::Tensor weights = at::softmax(scores, -1, at::kFloat);
    return at::bmm(in_type(weights, vs.scalar_type()), vs);
  };
  constexpr std::int64_t kStripElements = 16 << 20;
  const std::int64_t rows =
      std::clamp<std::int64_t>(kStripElements / std::max<std::int64_t>(1, batch * heads * keys), 64, queries);
  at::Tensor out;
  if (rows >= queries || at::GradMode::is_enabled()) {
    out = strip(0, queries);
  } else {
    std::vector<at::Tensor> strips;
    for (std::int64_t from = 0; from < queries; from += rows)
      strips.push_back(strip(from, std::min(rows, queries - from)));
    out = at::cat(strips, 1);
  }
  return out.reshape({batch, heads, queries, head}).permute({0, 2, 1, 3}).reshape({batch, queries, width});
}

}  // namespace lowrank::model::ops
