#include "sampling/brownian.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace lowrank::sampling {
namespace {

constexpr std::size_t kPoolSize = 24;
constexpr std::size_t kMaxDrawn = 96;  // two ways down; bounds memory to 96 latents per image

// Rounded to 6 decimals as Python's round(): the exact value decides, ties go to even. printf does the same.
double round_place(double place) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.6f", place);
  return std::strtod(text.data(), nullptr);
}

void append_words(std::vector<std::uint32_t>& words, std::uint64_t number) {
  words.push_back(static_cast<std::uint32_t>(number));
  if ((number >> 32) != 0) words.push_back(static_cast<std::uint32_t>(number >> 32));
}

std::vector<float> sum(std::vector<float> a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

}  // namespace

std::vector<std::uint32_t> seed_sequence(std::uint64_t entropy, std::span<const std::uint64_t> spawn_key,
                                         std::size_t pool_size, std::size_t words) {
  std::vector<std::uint32_t> input;
  append_words(input, entropy);
  if (!spawn_key.empty()) input.resize(std::max(input.size(), pool_size), 0);
  for (const auto part : spawn_key) append_words(input, part);

  std::uint32_t constant = 0x43b0d7e5;
  const auto hash = [&constant](std::uint32_t value) {
    value ^= constant;
    constant *= 0x931e8875;
    value *= constant;
    return value ^ (value >> 16);
  };
  const auto mix = [](std::uint32_t x, std::uint32_t y) {
    const std::uint32_t value = 0xca01f9dd * x - 0x4973f715 * y;
    return value ^ (value >> 16);
  };
  std::vector<std::uint32_t> pool(pool_size);
  for (std::size_t i = 0; i < pool_size; ++i) pool[i] = hash(i < input.size() ? input[i] : 0);
  for (std::size_t source = 0; source < pool_size; ++source) {
    for (std::size_t target = 0; target < pool_size; ++target) {
      if (source != target) pool[target] = mix(pool[target], hash(pool[source]));
    }
  }
  for (std::size_t i = pool_size; i < input.size(); ++i) {
    for (auto& entry : pool) entry = mix(entry, hash(input[i]));
  }

  std::vector<std::uint32_t> state(words);
  constant = 0x8b51f9dd;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint32_t value = pool[i % pool_size] ^ constant;
    constant *= 0x58f38ded;
    value *= constant;
    state[i] = value ^ (value >> 16);
  }
  return state;
}

BrownianTree::BrownianTree(RngKind rng, std::uint64_t seed, double from, double to, std::size_t size)
    : rng_(rng), seed_(seed), root_{round_place(from), round_place(to), 0, 0, std::vector<float>(size)} {
  root_.increment = random(seed_sequence(seed, {}, kPoolSize, 1)[0]);
  const auto scale = static_cast<float>(std::sqrt(to - from));
  for (float& value : root_.increment) value *= scale;
}

std::vector<float> BrownianTree::random(std::uint32_t seed) const {
  std::vector<float> values(root_.increment.size());
  NormalGenerator(rng_, seed).fill_normal(values);
  return values;
}

// A Brownian bridge: given the increment W over [start, end] of length L, the increment over the left part is
// normal with mean W·(m − start)/L and variance (m − start)(end − m)/L.
BrownianTree::Node BrownianTree::left_half(const Node& node, double middle) {
  Node left{node.start, middle, 2 * node.key, node.depth + 1, {}};
  const auto place = std::pair(left.depth, left.key);
  if (const auto found = drawn_.find(place); found != drawn_.end()) {
    left.increment = found->second;
    return left;
  }
  const std::array<std::uint64_t, 2> spawn_key{node.key, node.depth};
  const double length = node.end - node.start, before = middle - node.start, after = node.end - middle;
  const auto mean = static_cast<float>(before / length);
  const auto deviation = static_cast<float>(std::sqrt(before * after / length));
  left.increment = random(seed_sequence(seed_, spawn_key, kPoolSize, 4)[0]);
  for (std::size_t i = 0; i < left.increment.size(); ++i) {
    left.increment[i] = node.increment[i] * mean + deviation * left.increment[i];
  }
  if (drawn_.size() >= kMaxDrawn) drawn_.clear();
  drawn_.emplace(place, left.increment);
  return left;
}

std::vector<float> BrownianTree::descend(const Node& node, double low, double high) {
  if (low <= node.start && high >= node.end) return node.increment;
  const double middle = round_place(0.5 * (node.end + node.start));
  const Node left = left_half(node, middle);
  if (high <= middle) return descend(left, low, high);
  Node right{middle, node.end, 2 * node.key + 1, node.depth + 1, node.increment};
  for (std::size_t i = 0; i < right.increment.size(); ++i) right.increment[i] -= left.increment[i];
  if (low >= middle) return descend(right, low, high);
  return sum(descend(left, low, middle), descend(right, middle, high));
}

std::vector<float> BrownianTree::increment(double low, double high) {
  low = std::clamp(round_place(low), root_.start, root_.end);
  high = std::clamp(round_place(high), root_.start, root_.end);
  if (!(low < high)) return std::vector<float>(root_.increment.size(), 0.0F);
  return descend(root_, low, high);
}

}  // namespace lowrank::sampling
