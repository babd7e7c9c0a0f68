#include <algorithm>

#include "base/error.h"
#include "image/lettering.h"
#include "image/picture.h"

namespace lowrank::image {
namespace {

constexpr int kMargin = 8;

}  // namespace

Picture contact_sheet(const std::vector<SheetCell>& cells, int columns) {
  LOWRANK_CHECK(!cells.empty() && columns > 0);
  int width = 0, height = 0;
  for (const SheetCell& cell : cells) {
    width = std::max(width, cell.picture.width);
    height = std::max(height, cell.picture.height);
  }
  const auto letters = static_cast<std::size_t>(std::max(1, width / kLetterWidth));
  std::size_t lines = 0;
  for (const SheetCell& cell : cells) lines = std::max(lines, wrapped(cell.caption, letters).size());
  const int rows = (static_cast<int>(cells.size()) + columns - 1) / columns;
  const int step_x = width + kMargin, step_y = height + kMargin + static_cast<int>(lines) * kLineHeight;
  Picture sheet = Picture::blank(columns * step_x + kMargin, rows * step_y + kMargin);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const int x = kMargin + static_cast<int>(i) % columns * step_x,
              y = kMargin + static_cast<int>(i) / columns * step_y;
    paste(sheet, cells[i].picture, x, y);
    int line_y = y + height + 3;
    for (const std::string& line : wrapped(cells[i].caption, letters)) {
      write(sheet, line, x, line_y);
      line_y += kLineHeight;
    }
  }
  return sheet;
}

}  // namespace lowrank::image
