#include "model/token_merging.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace lowrank::model {
namespace {

// index [B, n] for gather() and scatter() along the tokens of [B, N, C].
at::Tensor across(const at::Tensor& index, std::int64_t channels) {
  return index.unsqueeze(2).expand({index.size(0), index.size(1), channels});
}

at::Tensor gather_tokens(const at::Tensor& x, const at::Tensor& places) {
  return x.gather(1, across(places, x.size(2)));
}

}  // namespace

TokenMerging::TokenMerging(const at::Tensor& x, std::int64_t height, std::int64_t width, double ratio)
    : tokens_(x.size(1)) {
  std::vector<std::int64_t> kept, others;
  for (std::int64_t i = 0; i < tokens_; ++i) {
    const std::int64_t row = i / width, column = i % width;
    const bool is_first = row % 2 == 0 && column % 2 == 0 && row + 1 < height && column + 1 < width;
    (is_first ? kept : others).push_back(i);
  }
  merged_ = std::min(static_cast<std::int64_t>(static_cast<double>(tokens_) * ratio),
                     static_cast<std::int64_t>(others.size()));
  if (kept.empty()) merged_ = 0;
  if (merged_ <= 0) return;
  kept_ = at::tensor(kept, at::kLong);
  const at::Tensor candidates = at::tensor(others, at::kLong);
  const at::Tensor unit = x / x.norm(2, {-1}, /*keepdim=*/true);
  const at::Tensor likeness =
      at::bmm(unit.index_select(1, candidates), unit.index_select(1, kept_).transpose(1, 2));
  const auto [best, where] = likeness.max(-1);
  const at::Tensor order = best.argsort(/*stable=*/true, -1, /*descending=*/true);
  const at::Tensor places = candidates.unsqueeze(0).expand({x.size(0), candidates.size(0)});
  const at::Tensor chosen = order.narrow(1, 0, merged_);
  away_ = places.gather(1, chosen);
  into_ = where.gather(1, chosen);
  alone_ = places.gather(1, order.narrow(1, merged_, order.size(1) - merged_));
}

at::Tensor TokenMerging::merge(const at::Tensor& x) const {
  if (is_idle()) return x;
  const at::Tensor means = x.index_select(1, kept_).scatter_reduce(
      1, across(into_, x.size(2)), gather_tokens(x, away_), "mean", /*include_self=*/true);
  return at::cat({gather_tokens(x, alone_), means}, 1);
}

at::Tensor TokenMerging::unmerge(const at::Tensor& y) const {
  if (is_idle()) return y;
  const std::int64_t channels = y.size(2), alone = alone_.size(1);
  const at::Tensor means = y.narrow(1, alone, y.size(1) - alone);
  at::Tensor x = at::empty({y.size(0), tokens_, channels}, y.options());
  x.index_copy_(1, kept_, means);
  x.scatter_(1, across(alone_, channels), y.narrow(1, 0, alone));
  x.scatter_(1, across(away_, channels), gather_tokens(means, into_));
  return x;
}

}  // namespace lowrank::model
