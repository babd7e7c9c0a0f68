// A number with a meaning, where two plain numbers could be swapped by mistake. Explicit construction, `.value` at
// the edge of a formula.
#pragma once

#include <compare>
#include <cstdint>

namespace lowrank {

template <typename Tag, typename T>
struct Strong {
  T value{};
  constexpr Strong() = default;
  constexpr explicit Strong(T v) : value(v) {}
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
};

using Sigma = Strong<struct SigmaTag, double>;        // noise level, latent units
using Timestep = Strong<struct TimestepTag, double>;  // place in training time 0…999, may be fractional
using Seed = Strong<struct SeedTag, std::uint64_t>;

}  // namespace lowrank
