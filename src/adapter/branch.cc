#include "adapter/branch.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace lowrank::adapter {

std::int64_t active_rank(const Factors& factors, Dyn dyn) {
  const std::int64_t rank = factors.down.size(0);
  return std::clamp<std::int64_t>(dyn.value_or(rank), 0, rank);
}

LowRankBranch::LowRankBranch(const model::Layer& layer, std::span<const WeightedFactors> changes)
    : is_convolution_(layer.kind() == model::LayerKind::kConv2d), geometry_(layer.geometry()) {
  const at::Tensor& weight = layer.weight();
  std::vector<at::Tensor> downs, ups;
  for (const auto& [factors, factor_weight, dyn] : changes) {
    const std::int64_t rank = active_rank(*factors, dyn);
    downs.push_back(
        factors->down.narrow(0, 0, rank).to(at::kFloat).reshape({rank, weight.numel() / weight.size(0)}));
    ups.push_back(factors->up.narrow(1, 0, rank).to(at::kFloat).reshape({weight.size(0), rank}) *
                  (factors->scale * factor_weight));
  }
  at::Tensor down = at::cat(downs, 0), up = at::cat(ups, 1);
  if (is_convolution_) {
    down = down.reshape({down.size(0), weight.size(1), weight.size(2), weight.size(3)});
    up = up.unsqueeze(-1).unsqueeze(-1);
  }
  factors_ = {model::ops::Weight(down), model::ops::Weight(up)};
}

at::Tensor LowRankBranch::add_to(at::Tensor y, const at::Tensor& x) const {
  const at::ScalarType type = y.scalar_type();
  const at::Tensor input = x.to(type), down = factors_.down.tensor.to(type), up = factors_.up.tensor.to(type);
  if (is_convolution_) {
    const at::Tensor delta = at::conv2d(at::conv2d(input, down, {}, geometry_.stride, geometry_.padding), up);
    return at::GradMode::is_enabled() ? y + delta : y.add_(delta);
  }
  const at::Tensor inner = at::linear(input, down);
  if (at::GradMode::is_enabled() || !y.is_contiguous()) return y + at::linear(inner, up);
  // Adds while multiplying: no second tensor of y's size.
  y.view({-1, y.size(-1)}).addmm_(inner.reshape({-1, inner.size(-1)}), up.t());
  return y;
}

}  // namespace lowrank::adapter
