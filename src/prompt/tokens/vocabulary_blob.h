// The table made by tools/vocabulary/build_vocabulary.mjs, part of the program's read-only data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lowrank::prompt {

struct Vocabulary {
  std::span<const std::uint16_t>
      pairs;  // merge k joins tokens pairs[2k] and pairs[2k + 1] into token 512 + k
  std::span<const std::uint16_t> by_left;  // merge numbers ordered by (left, right)
  std::span<const std::uint16_t>
      row_start;  // merges of left token l: by_left[row_start[l] … row_start[l + 1])
  // HTML's named character references, sorted by name; a name ends with `;` unless it may stand without one.
  std::span<const std::uint16_t> name_offset;   // name i is names[name_offset[i] … name_offset[i + 1])
  std::span<const std::uint16_t> value_offset;  // likewise, UTF-8
  std::string_view names;
  std::string_view values;
};

// Views into the embedded table; reads a header of 24 bytes.
Vocabulary vocabulary();

}  // namespace lowrank::prompt
