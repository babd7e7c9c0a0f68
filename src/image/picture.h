// An 8-bit RGB picture in memory, and what is done with pictures outside the model: cropping to shape, resizing, and
// laying several out on one sheet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lowrank::image {

struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;  // height · width · 3, rows from the top

  static Picture blank(int width, int height, std::uint8_t value = 255);
  std::uint8_t* pixel(int x, int y) {
    return &rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(x)) *
                3];
  }
  const std::uint8_t* pixel(int x, int y) const {
    return &rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(x)) *
                3];
  }
  friend bool operator==(const Picture&, const Picture&) = default;
};

// Lanczos resampling with three lobes, equal to Pillow's; other filters and shapes: resample.h.
Picture resize(const Picture& picture, int width, int height);

// The rectangle [x, x + width) × [y, y + height), which must lie inside.
Picture crop(const Picture& picture, int x, int y, int width, int height);

// `picture` copied into `sheet` with its top left corner at (x, y); what falls outside is left out.
void paste(Picture& sheet, const Picture& picture, int x, int y);

struct SheetCell {
  Picture picture;
  std::string caption;  // UTF-8; each character that the built-in 5×7 font (ASCII) lacks shows as one '?'
};

// Cells in rows of `columns`, each as large as the largest picture, captions below (wrapped to the cell's width).
Picture contact_sheet(const std::vector<SheetCell>& cells, int columns);

}  // namespace lowrank::image
