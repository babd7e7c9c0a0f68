// Brownian noise for the SDE samplers: a path W over the sigmas whose value at any place follows from the
// seed alone, so that the noise of a step does not depend on how the other steps lie. It equals torchsde's
// BrownianTree with A1111's normal generator, number for number.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "sampling/rng.h"

namespace lowrank::sampling {

// NumPy's SeedSequence(entropy, spawn_key, pool_size).generate_state(words). Source:
// numpy/random/bit_generator.pyx, after M. E. O'Neill's "seed_seq alternatives".
std::vector<std::uint32_t> seed_sequence(std::uint64_t entropy, std::span<const std::uint64_t> spawn_key,
                                         std::size_t pool_size, std::size_t words);

// One image's path of `size` independent numbers over [from, to] (from < to, sigmas). Places count as equal
// when they agree to 6 decimals. Not thread-safe.
class BrownianTree {
 public:
  BrownianTree(RngKind rng, std::uint64_t seed, double from, double to, std::size_t size);

  // W(high) − W(low), places clipped to the tree's range; all zeros when low and high round to the same
  // place.
  std::vector<float> increment(double low, double high);

 private:
  // A stretch of the path: its ends, its increment, and its place in the tree, from which its seed follows.
  struct Node {
    double start, end;
    std::uint64_t key, depth;
    std::vector<float> increment;
  };
  std::vector<float> random(std::uint32_t seed) const;
  Node left_half(const Node& node, double middle);
  std::vector<float> descend(const Node& node, double low, double high);

  RngKind rng_;
  std::uint64_t seed_;
  Node root_;
  // Left halves already drawn, by (depth, key): neighbouring steps share most of their way down.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<float>> drawn_;
};

}  // namespace lowrank::sampling
