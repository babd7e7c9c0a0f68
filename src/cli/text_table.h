// A table for the terminal: columns as wide as their longest cell, the widest ones shortened until a line
// fits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::cli {

// `rows` have as many cells as `head`; cells are UTF-8, their control characters show as '?'. Lines end with
// a newline and are at most `width` characters where the terminal has one; in a pipe nothing is shortened.
std::string text_table(const std::vector<std::string>& head, std::vector<std::vector<std::string>> rows);

// A size in bytes as people write it: "37.9 MB".
std::string size_text(std::uint64_t bytes);

// Text of a file shown on a terminal: control characters other than newlines and tabs become '?', so that
// nobody's metadata can steer it.
std::string printable(std::string_view text);

}  // namespace lowrank::cli
