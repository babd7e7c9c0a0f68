#include "image/grid.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/lettering.h"

namespace lowrank::image {
namespace {

constexpr std::uint8_t kActive = 0, kInactive = 153;
constexpr int kStrikeWidth = 4;

struct Size {
  int width = 1, height = 1;
};

Size largest(std::span<const Picture* const> pictures) {
  Size cell;
  for (const Picture* picture : pictures) {
    cell.width = std::max(cell.width, picture->width);
    cell.height = std::max(cell.height, picture->height);
  }
  return cell;
}

// The labels of one column or row, broken into lines that fit.
struct Label {
  std::vector<GridLabel> lines;
  int height(int letter_size) const { return static_cast<int>(lines.size()) * kLineHeight * letter_size; }
};

std::vector<Label> broken(const std::vector<std::vector<GridLabel>>& all, int width, int letter_size) {
  const auto letters = static_cast<std::size_t>(std::max(1, width / (kLetterWidth * letter_size)));
  std::vector<Label> labels;
  for (const auto& given : all) {
    Label& label = labels.emplace_back();
    for (const GridLabel& line : given)
      for (auto& part : wrapped(line.text, letters)) label.lines.push_back({std::move(part), line.is_active});
  }
  return labels;
}

bool is_blank(const std::vector<std::vector<GridLabel>>& all) {
  for (const auto& label : all)
    for (const auto& line : label)
      if (!line.text.empty()) return false;
  return true;
}

// Around the middle (x, y).
void draw(Picture& picture, const Label& label, int x, int y, int letter_size) {
  int top = y - label.height(letter_size) / 2;
  for (const GridLabel& line : label.lines) {
    // The last letter's space is no part of what is seen.
    const int width = (static_cast<int>(line.text.size()) * kLetterWidth - 1) * letter_size;
    const std::uint8_t grey = line.is_active ? kActive : kInactive;
    write(picture, line.text, x - width / 2, top, {.size = letter_size, .grey = grey});
    if (!line.is_active) {
      const int strike = std::min(kStrikeWidth, letter_size), middle = top + 7 * letter_size / 2 - strike / 2;
      for (int py = std::max(0, middle); py < std::min(picture.height, middle + strike); ++py)
        for (int px = std::max(0, x - width / 2); px < std::min(picture.width, x + width / 2); ++px)
          std::fill_n(picture.pixel(px, py), 3, kInactive);
    }
    top += kLineHeight * letter_size;
  }
}

void place(Picture& grid, const Picture& picture, int x, int y, const Size& cell) {
  if (picture.rgb.empty()) return paste(grid, Picture::blank(cell.width, cell.height, 0), x, y);
  paste(grid, picture, x + (cell.width - picture.width) / 2, y + (cell.height - picture.height) / 2);
}

}  // namespace

Picture picture_grid(std::span<const Picture* const> pictures, int rows) {
  LOWRANK_CHECK(!pictures.empty());
  const int count = static_cast<int>(pictures.size());
  if (rows == 0) rows = static_cast<int>(std::lround(std::sqrt(count)));
  rows = std::clamp(rows, 1, count);
  const int columns = (count + rows - 1) / rows;
  const Size cell = largest(pictures);
  Picture grid = Picture::blank(columns * cell.width, rows * cell.height);
  for (int i = 0; i < count; ++i)
    place(grid, *pictures[static_cast<std::size_t>(i)], i % columns * cell.width, i / columns * cell.height,
          cell);
  return grid;
}

Picture labelled_grid(std::span<const Picture* const> pictures, const GridLegend& legend) {
  const int columns = static_cast<int>(legend.columns.size()), rows = static_cast<int>(legend.rows.size());
  LOWRANK_CHECK(!pictures.empty() && static_cast<int>(pictures.size()) == columns * rows);
  const Size cell = largest(pictures);
  const int letter_size = std::max(1, (cell.width + cell.height) / 25 / kLineHeight);
  const int left = is_blank(legend.rows) ? 0 : cell.width * 3 / 4;
  const auto above = broken(legend.columns, cell.width, letter_size);
  const auto beside = broken(legend.rows, std::max(1, left), letter_size);
  int top = 0;
  for (const Label& label : above) top = std::max(top, label.height(letter_size));
  if (top > 0) top += kLineHeight * letter_size;
  const int step_x = cell.width + legend.margin, step_y = cell.height + legend.margin;
  Picture sheet =
      Picture::blank(left + columns * step_x - legend.margin, top + rows * step_y - legend.margin);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const int x = left + column * step_x, y = top + row * step_y;
      place(sheet, *pictures[static_cast<std::size_t>(row * columns + column)], x, y, cell);
    }
    draw(sheet, beside[static_cast<std::size_t>(row)], left / 2, top + row * step_y + cell.height / 2,
         letter_size);
  }
  for (int column = 0; column < columns; ++column)
    draw(sheet, above[static_cast<std::size_t>(column)], left + column * step_x + cell.width / 2, top / 2,
         letter_size);
  return sheet;
}

}  // namespace lowrank::image
