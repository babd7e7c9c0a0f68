// Width and height of a picture.
#pragma once

#include <compare>
#include <cstdint>

namespace lowrank::request {

struct PixelSize {
  std::int64_t width = 0, height = 0;  // pixels
  friend auto operator<=>(const PixelSize&, const PixelSize&) = default;
};

}  // namespace lowrank::request
