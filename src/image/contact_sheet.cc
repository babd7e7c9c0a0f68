#include <algorithm>

#include "base/error.h"
#include "image/font.h"
#include "image/picture.h"

namespace lowrank::image {
namespace {

constexpr int kMargin = 8, kLetterWidth = 6, kLineHeight = 10;

// Words in lines of at most `columns` letters; a longer word is cut.
std::vector<std::string> wrap(const std::string& text, std::size_t columns) {
  std::vector<std::string> lines;
  std::string line, word;
  const auto end_word = [&] {
    while (!word.empty()) {
      const std::size_t room = line.empty() ? columns : columns - std::min(columns, line.size() + 1);
      if (word.size() <= room) {
        line += (line.empty() ? "" : " ") + word;
        word.clear();
      } else if (line.empty()) {
        lines.push_back(word.substr(0, columns));
        word.erase(0, columns);
      } else {
        lines.push_back(line);
        line.clear();
      }
    }
  };
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      end_word();
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {  // of a UTF-8 character only the first byte
      word += c;
    }
  }
  end_word();
  if (!line.empty()) lines.push_back(line);
  return lines;
}

void write(Picture& sheet, const std::string& text, int x, int y) {
  for (const char c : text) {
    const Glyph& columns = glyph(c);
    for (int dx = 0; dx < 5; ++dx) {
      for (int dy = 0; dy < 7; ++dy) {
        if (((columns[static_cast<std::size_t>(dx)] >> dy) & 1) == 0 || x + dx >= sheet.width ||
            y + dy >= sheet.height)
          continue;
        std::fill_n(sheet.pixel(x + dx, y + dy), 3, std::uint8_t{32});
      }
    }
    x += kLetterWidth;
  }
}

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
  for (const SheetCell& cell : cells) lines = std::max(lines, wrap(cell.caption, letters).size());
  const int rows = (static_cast<int>(cells.size()) + columns - 1) / columns;
  const int step_x = width + kMargin, step_y = height + kMargin + static_cast<int>(lines) * kLineHeight;
  Picture sheet = Picture::blank(columns * step_x + kMargin, rows * step_y + kMargin);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const int x = kMargin + static_cast<int>(i) % columns * step_x,
              y = kMargin + static_cast<int>(i) / columns * step_y;
    paste(sheet, cells[i].picture, x, y);
    int line_y = y + height + 3;
    for (const std::string& line : wrap(cells[i].caption, letters)) {
      write(sheet, line, x, line_y);
      line_y += kLineHeight;
    }
  }
  return sheet;
}

}  // namespace lowrank::image
