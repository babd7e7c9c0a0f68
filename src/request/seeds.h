// Which picture of a request has which seed.
#pragma once

#include <cstdint>
#include <vector>

#include "request/generation_request.h"

namespace lowrank::request {

struct PictureSeeds {
  std::uint64_t seed = 0, subseed = 0;
};

// One entry per picture. −1 becomes a random number in 0 … 4294967293. Picture i has seed + i, but all have
// the same seed when a variation strength is set; the variation seed is always subseed + i. Source: A1111's
// process_images.
std::vector<PictureSeeds> picture_seeds(const GenerationRequest& request);

}  // namespace lowrank::request
