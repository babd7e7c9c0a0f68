#include "image/tiles.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace lowrank::image {
namespace {

// Where tiles begin along an axis.
std::vector<int> starts(int length, int tile, int overlap) {
  const int step = tile - overlap, count = std::max(1, (length - overlap + step - 1) / step);
  std::vector<int> places;
  for (int i = 0; i < count; ++i) {
    const double even = count > 1 ? static_cast<double>(length - tile) / (count - 1) : 0;
    places.push_back(std::min(static_cast<int>(i * even), length - tile));
  }
  return places;
}

// How far the later of two tiles shows at place i of their overlap, 0 … 254. Source: A1111's make_mask_image.
std::vector<unsigned> fade(int overlap) {
  std::vector<unsigned> shares;
  for (int i = 0; i < overlap; ++i)
    shares.push_back(static_cast<unsigned>(static_cast<float>(i) * 255.0F / static_cast<float>(overlap)));
  return shares;
}

// Source: Pillow's BLEND.
std::uint8_t blend(unsigned share, unsigned below, unsigned above) {
  const unsigned sum = below * (255 - share) + above * share + 128;
  return static_cast<std::uint8_t>((sum + (sum >> 8)) >> 8);
}

enum class Axis { kColumns, kRows };

// Pastes `piece` at `place` along `axis`; its first places fade in, unless it is the first piece.
void join(Picture& sheet, const Picture& piece, int place, Axis axis, const std::vector<unsigned>& shares) {
  for (int y = 0; y < piece.height; ++y) {
    for (int x = 0; x < piece.width; ++x) {
      const int along = axis == Axis::kColumns ? x : y;
      std::uint8_t* target = axis == Axis::kColumns ? sheet.pixel(place + x, y) : sheet.pixel(x, place + y);
      const std::uint8_t* source = piece.pixel(x, y);
      const bool fades = place != 0 && static_cast<std::size_t>(along) < shares.size();
      for (int c = 0; c < 3; ++c)
        target[c] = fades ? blend(shares[static_cast<std::size_t>(along)], target[c], source[c]) : source[c];
    }
  }
}

}  // namespace

Picture map_tiles(const Picture& picture, int tile, int overlap,
                  const std::function<Picture(const Picture&)>& work) {
  LOWRANK_CHECK(tile > overlap && overlap >= 0);
  const int width = std::min(tile, picture.width), height = std::min(tile, picture.height);
  const auto columns = width == picture.width ? std::vector<int>{0} : starts(picture.width, tile, overlap);
  const auto rows = height == picture.height ? std::vector<int>{0} : starts(picture.height, tile, overlap);
  Picture sheet;
  for (const int y : rows) {
    Picture row;
    int scale = 1;
    for (const int x : columns) {
      const Picture made = work(crop(picture, x, y, width, height));
      scale = made.width / width;
      LOWRANK_CHECK(scale >= 1 && made.width == scale * width && made.height == scale * height);
      if (row.rgb.empty()) row = Picture::blank(picture.width * scale, made.height, 0);
      join(row, made, x * scale, Axis::kColumns, fade(overlap * scale));
    }
    if (sheet.rgb.empty()) sheet = Picture::blank(row.width, picture.height * scale, 0);
    join(sheet, row, y * scale, Axis::kRows, fade(overlap * scale));
  }
  return sheet;
}

}  // namespace lowrank::image
