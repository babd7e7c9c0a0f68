#include "image/lettering.h"

#include <algorithm>

#include "image/font.h"

namespace lowrank::image {

std::vector<std::string> wrapped(const std::string& text, std::size_t columns) {
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

void write(Picture& picture, const std::string& text, int x, int y, const Lettering& lettering) {
  const auto dot = [&](int left, int top) {
    for (int py = std::max(0, top); py < std::min(picture.height, top + lettering.size); ++py)
      for (int px = std::max(0, left); px < std::min(picture.width, left + lettering.size); ++px)
        std::fill_n(picture.pixel(px, py), 3, lettering.grey);
  };
  for (const char c : text) {
    const Glyph& columns = glyph(c);
    for (int dx = 0; dx < 5; ++dx)
      for (int dy = 0; dy < 7; ++dy)
        if (((columns[static_cast<std::size_t>(dx)] >> dy) & 1) != 0)
          dot(x + dx * lettering.size, y + dy * lettering.size);
    x += kLetterWidth * lettering.size;
  }
}

}  // namespace lowrank::image
