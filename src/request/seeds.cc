#include "request/seeds.h"

#include <random>

namespace lowrank::request {
namespace {

std::uint64_t fixed(std::int64_t asked) {
  if (asked >= 0) return static_cast<std::uint64_t>(asked);
  std::random_device device;
  return std::uniform_int_distribution<std::uint64_t>(0, 4294967293u)(device);
}

}  // namespace

std::vector<PictureSeeds> picture_seeds(const GenerationRequest& request) {
  const std::uint64_t seed = fixed(request.seed), subseed = fixed(request.subseed);
  std::vector<PictureSeeds> seeds;
  for (int i = 0; i < request.picture_count(); ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    seeds.push_back({request.subseed_strength.value == 0 ? seed + n : seed, subseed + n});
  }
  return seeds;
}

}  // namespace lowrank::request
