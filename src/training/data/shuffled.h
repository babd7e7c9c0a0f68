// Random order.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lowrank::training {

// Draws nothing for fewer than two items.
template <typename T>
void shuffle(std::vector<T>& items, const at::Generator& generator) {
  if (items.size() < 2) return;
  const at::Tensor order =
      at::randperm(static_cast<std::int64_t>(items.size()), generator, at::TensorOptions(at::kLong));
  const auto* places = order.data_ptr<std::int64_t>();
  std::vector<T> shuffled;
  shuffled.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i)
    shuffled.push_back(std::move(items[static_cast<std::size_t>(places[i])]));
  items = std::move(shuffled);
}

}  // namespace lowrank::training
