// How many singular values of each layer are kept. Source: the criteria of kohya's resize script (sv_ratio, sv_fro,
// sv_cumulative), here each the smallest rank that fulfils it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lowrank::edit {

enum class RankRule {
  kFixed,       // as many as asked for
  kRatio,       // those above the largest / value
  kFrobenius,   // as few as give at least `value` of the norm √Σσ²
  kCumulative,  // as few as give at least `value` of Σσ
  kSize,        // as many over all layers as `value` megabytes hold, the strongest per byte first
};

struct RankOptions {
  RankRule rule = RankRule::kFixed;
  double value = 0;
  std::optional<std::int64_t> rank = {};       // the largest; of kFixed the one
  std::optional<std::int64_t> conv_rank = {};  // the same of k×k convolutions
  // Counts as kohya's script does, one more than needed and never all.
  bool kohya = false;
};

// Throws Error(kBadInput) for values that make no sense: a ratio below 1, a share outside 0 … 1, no rank.
void check(const RankOptions& options);

// Of falling singular values; `count`: of the whole matrix, of which `values` may be the ones that are not zero. At least 1.
std::int64_t kept_by(const RankOptions& options, const at::Tensor& values, std::int64_t count);

// kSize: of all layers together. A layer's rank costs `bytes`; its singular values count by `weight` (1, or 1 / ‖W‖²).
struct LayerSpectrum {
  at::Tensor values;  // falling, float64
  std::uint64_t bytes = 0;
  double weight = 1;
};
// Throws Error(kBadInput) where rank 1 everywhere takes more.
std::vector<std::int64_t> spread(std::span<const LayerSpectrum> layers, std::uint64_t bytes);

}  // namespace lowrank::edit
