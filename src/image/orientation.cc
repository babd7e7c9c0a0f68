#include "image/orientation.h"

#include <cstring>
#include <utility>

#include "image/exif.h"

namespace lowrank::image {
namespace {

std::optional<int> valid_orientation(std::int64_t number) {
  if (number < 1 || number > 8) return std::nullopt;
  return static_cast<int>(number);
}

// Where the pixel of the upright picture lies in the stored one of this size.
struct Place {
  int x, y;
};
Place stored_place(int orientation, int width, int height, int x, int y) {
  switch (orientation) {
    case 2:
      return {width - 1 - x, y};
    case 3:
      return {width - 1 - x, height - 1 - y};
    case 4:
      return {x, height - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {y, height - 1 - x};
    case 7:
      return {width - 1 - y, height - 1 - x};
    case 8:
      return {width - 1 - y, x};
    default:
      return {x, y};
  }
}

}  // namespace

std::optional<int> orientation_of_exif(std::span<const std::uint8_t> block) {
  const auto number = number_of_exif(block, 0x0112);
  return number ? valid_orientation(*number) : std::nullopt;
}

std::optional<int> orientation_of_xmp(std::string_view packet) {
  for (const std::string_view name : {"tiff:Orientation=\"", "tiff:Orientation='", "tiff:Orientation>"}) {
    const auto at = packet.find(name);
    if (at != std::string_view::npos && at + name.size() < packet.size())
      return valid_orientation(packet[at + name.size()] - '0');
  }
  return std::nullopt;
}

Raster upright(Raster stored, int orientation) {
  if (orientation < 2 || orientation > 8) return stored;
  const bool is_turned = orientation >= 5;
  Raster seen = Raster::blank(is_turned ? stored.height : stored.width,
                              is_turned ? stored.width : stored.height, stored.channels);
  const auto channels = static_cast<std::size_t>(stored.channels);
  for (int y = 0; y < seen.height; ++y) {
    for (int x = 0; x < seen.width; ++x) {
      const Place from = stored_place(orientation, stored.width, stored.height, x, y);
      std::memcpy(&seen.bytes[seen.at(x, y)], &stored.bytes[stored.at(from.x, from.y)], channels);
    }
  }
  return seen;
}

}  // namespace lowrank::image
