// Sizes and texts from outside, as a terminal shows them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowrank::cli {

// A size in bytes as people write it: "37.9 MB".
std::string size_text(std::uint64_t bytes);

// Text of a file shown on a terminal: control characters other than newlines and tabs become '?', so that
// nobody's metadata can steer it.
std::string printable(std::string_view text);

}  // namespace lowrank::cli
