#include "edit/ranks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <queue>

#include "base/error.h"

namespace lowrank::edit {
namespace {

std::span<const double> numbers(const at::Tensor& values) {
  LOWRANK_CHECK(values.scalar_type() == at::kDouble && values.is_contiguous());
  return {values.data_ptr<double>(), static_cast<std::size_t>(values.numel())};
}

// The smallest count whose sum of `measure` is at least `share` of all.
template <typename Measure>
std::int64_t count_of_share(std::span<const double> values, double share, Measure measure) {
  double all = 0, sum = 0;
  for (const double value : values) all += measure(value);
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += measure(values[i]);
    if (sum >= share * all) return static_cast<std::int64_t>(i) + 1;
  }
  return static_cast<std::int64_t>(values.size());
}

std::int64_t needed(const RankOptions& options, std::span<const double> values) {
  switch (options.rule) {
    case RankRule::kRatio:
      return std::ranges::count_if(values, [&](double value) { return value > values[0] / options.value; });
    case RankRule::kFrobenius:
      return count_of_share(values, options.value * options.value,
                            [](double value) { return value * value; });
    case RankRule::kCumulative:
      return count_of_share(values, options.value, [](double value) { return value; });
    case RankRule::kFixed:
    case RankRule::kSize:
      break;
  }
  return static_cast<std::int64_t>(values.size());
}

}  // namespace

void check(const RankOptions& options) {
  for (const auto& rank : {options.rank, options.conv_rank})
    if (rank && *rank < 1) throw Error(kBadInput, "the rank is {}, but must be at least 1.", *rank);
  switch (options.rule) {
    case RankRule::kFixed:
      if (!options.rank)
        throw Error(kBadInput, "no rank was given; choose one with --rank, or a rule such as --sv-fro 0.9.");
      return;
    case RankRule::kRatio:
      if (!(options.value >= 1) || !std::isfinite(options.value))
        throw Error(kBadInput, "sv_ratio is {}, but must be at least 1.", options.value);
      return;
    case RankRule::kFrobenius:
    case RankRule::kCumulative:
      if (!(options.value > 0 && options.value <= 1))
        throw Error(kBadInput, "the share to keep is {}, but must lie between 0 and 1.", options.value);
      return;
    case RankRule::kSize:
      if (!(options.value > 0 && options.value < 1e9))
        throw Error(kBadInput, "the size is {} MB, but must be above 0.", options.value);
      return;
  }
}

std::int64_t kept_by(const RankOptions& options, const at::Tensor& values, std::int64_t count) {
  constexpr double kNothing = 1e-6;  // as kohya: such a layer changes nothing
  const auto spectrum = numbers(values);
  if (spectrum.empty() || spectrum[0] <= kNothing) return 1;
  std::int64_t kept = needed(options, spectrum);
  if (options.kohya && options.rule != RankRule::kFixed)
    kept = std::max<std::int64_t>(1, std::min(kept, count - 1)) + 1;
  if (options.rank) kept = std::min(kept, *options.rank);
  return std::clamp<std::int64_t>(kept, 1, count);
}

std::vector<std::int64_t> spread(std::span<const LayerSpectrum> layers, std::uint64_t bytes) {
  std::vector<std::int64_t> ranks(layers.size(), 1);
  std::uint64_t used = 0;
  for (const LayerSpectrum& layer : layers) used += layer.bytes;
  if (used > bytes)
    throw Error(kBadInput,
                "rank 1 in every layer already takes {:.2f} MB, more than the {:.2f} MB asked for.",
                static_cast<double>(used) / 1e6, static_cast<double>(bytes) / 1e6);
  struct Next {
    double gain;  // energy per byte of the layer's next singular value
    std::size_t layer;
    bool operator<(const Next& other) const {
      return gain != other.gain ? gain < other.gain : layer > other.layer;
    }
  };
  std::priority_queue<Next> queue;
  const auto push = [&](std::size_t i) {
    const auto values = numbers(layers[i].values);
    const auto rank = static_cast<std::size_t>(ranks[i]);
    if (rank >= values.size() || values[rank] <= 0) return;
    queue.push({values[rank] * values[rank] * layers[i].weight / static_cast<double>(layers[i].bytes), i});
  };
  for (std::size_t i = 0; i < layers.size(); ++i) push(i);
  while (!queue.empty()) {
    const std::size_t i = queue.top().layer;
    queue.pop();
    if (layers[i].bytes > bytes - used) continue;  // smaller layers may still fit
    used += layers[i].bytes;
    ++ranks[i];
    push(i);
  }
  return ranks;
}

}  // namespace lowrank::edit
