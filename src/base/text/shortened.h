// Texts from outside as messages show them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lowrank {

// Of a text longer than `most` bytes the whole characters that fit, and "…".
std::string shortened(std::string_view text, std::size_t most = 80);

}  // namespace lowrank
