// Bytes in rows with any number of channels: what decoding, resampling and blurring work on, inside the image room.
// A Picture has three channels, a Mask one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::image {

struct Raster {
  int width = 0, height = 0, channels = 0;
  std::vector<std::uint8_t> bytes;

  static Raster blank(int width, int height, int channels) {
    return {width, height, channels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                                      static_cast<std::size_t>(channels))};
  }
  std::size_t at(int x, int y) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
           static_cast<std::size_t>(channels);
  }
};

// a · b / 255, rounded. Source: Pillow's MULDIV255.
inline std::uint8_t mul_div_255(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t product = a * b + 128;
  return static_cast<std::uint8_t>((product + (product >> 8)) >> 8);
}

inline Raster raster_of(const Picture& picture) {
  return {picture.width, picture.height, 3, picture.rgb};
}
inline Raster raster_of(const Mask& mask) {
  return {mask.width, mask.height, 1, mask.grey};
}
inline Picture picture_of(Raster raster) {
  return {raster.width, raster.height, std::move(raster.bytes)};
}
inline Mask mask_of(Raster raster) {
  return {.width = raster.width, .height = raster.height, .grey = std::move(raster.bytes)};
}

}  // namespace lowrank::image
