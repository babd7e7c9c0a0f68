// A 5×7 letter for each printable ASCII character, for captions on contact sheets.
#pragma once

#include <array>
#include <cstdint>

namespace lowrank::image {

// Five columns from the left; bit 0 is the top row.
using Glyph = std::array<std::uint8_t, 5>;
const Glyph& glyph(char character);

}  // namespace lowrank::image
