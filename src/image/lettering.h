// Words on pictures, in the built-in 5×7 font (font.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "image/picture.h"

namespace lowrank::image {

// Of a letter with the space behind it, and of a line with the space below it, in pixels at size 1.
inline constexpr int kLetterWidth = 6, kLineHeight = 10;

// Words in lines of at most `columns` letters; a longer word is cut. Characters beyond ASCII count as one letter each.
std::vector<std::string> wrapped(const std::string& text, std::size_t columns);

struct Lettering {
  int size = 1;  // pixels per dot of the font
  std::uint8_t grey = 32;
};

// One line with its upper left corner at (x, y); what falls outside is left out.
void write(Picture& picture, const std::string& text, int x, int y, const Lettering& lettering = {});

}  // namespace lowrank::image
