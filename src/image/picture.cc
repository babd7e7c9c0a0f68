#include "image/picture.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace lowrank::image {
Picture Picture::blank(int width, int height, std::uint8_t value) {
  LOWRANK_CHECK(width > 0 && height > 0);
  return {width, height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3,
                                    value)};
}

Picture crop(const Picture& picture, int x, int y, int width, int height) {
  LOWRANK_CHECK(x >= 0 && y >= 0 && width > 0 && height > 0 && x <= picture.width - width &&
                y <= picture.height - height);
  Picture result = Picture::blank(width, height);
  for (int row = 0; row < height; ++row)
    std::memcpy(result.pixel(0, row), picture.pixel(x, y + row), static_cast<std::size_t>(width) * 3);
  return result;
}

void paste(Picture& sheet, const Picture& picture, int x, int y) {
  for (int row = 0; row < picture.height; ++row) {
    const int target = y + row;
    if (target < 0 || target >= sheet.height) continue;
    const int from = std::max(0, -x), to = std::min(picture.width, sheet.width - x);
    if (from < to)
      std::memcpy(sheet.pixel(x + from, target), picture.pixel(from, row),
                  static_cast<std::size_t>(to - from) * 3);
  }
}

}  // namespace lowrank::image
