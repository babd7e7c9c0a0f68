#include "training/data/held_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::training {

DatasetSplit split_dataset(const Dataset& dataset, const request::ValidationOptions& options,
                           std::uint64_t run_seed) {
  const auto share_of = [&](const Subset& subset) {
    return subset.plan.is_regularisation
               ? 0.0
               : dataset.sets()[subset.set].validation_split.value_or(options.split);
  };
  if (std::ranges::all_of(dataset.subsets(), [&](const Subset& subset) { return share_of(subset) <= 0; }))
    return {dataset, std::nullopt};
  const auto& examples = dataset.examples();
  const std::uint64_t seed = options.seed != 0 ? options.seed : run_seed;
  std::vector<std::string> keys;
  for (const Example& example : examples) {
    const std::string text = fmt::format("{} {}", seed, example.content);
    keys.push_back(sha256_hex(std::as_bytes(std::span(text.data(), text.size()))));
  }
  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return keys[i]; });

  std::vector<bool> held(examples.size(), false);
  std::vector<std::int64_t> left;
  for (const Subset& subset : dataset.subsets())
    left.push_back(std::llround(share_of(subset) * static_cast<double>(subset.pictures)));
  for (const std::size_t i : order) {
    if (left[examples[i].subset] <= 0) continue;
    held[i] = true;
    --left[examples[i].subset];
  }
  if (std::ranges::find(held, true) == held.end()) {
    const auto first =
        std::ranges::find_if(order, [&](std::size_t i) { return share_of(dataset.subset_of(i)) > 0; });
    if (first != order.end()) held[*first] = true;
  }
  if (std::ranges::find(held, false) == held.end())
    throw Error(
        kBadInput,
        "--validation-split is {}, which leaves nothing of {} to train on; choose a smaller share or add "
        "pictures.",
        options.split, examples.size() == 1 ? "1 picture" : fmt::format("{} pictures", examples.size()));
  std::vector<bool> trained = held;
  trained.flip();
  return {dataset.part(trained), dataset.part(held)};
}

}  // namespace lowrank::training
