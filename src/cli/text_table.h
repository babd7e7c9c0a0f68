// A table for the terminal: columns as wide as their longest cell, the widest ones shortened until a line
// fits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/printable.h"

namespace lowrank::cli {

// `rows` have as many cells as `head`; cells are UTF-8, their control characters show as '?'. Lines end with
// a newline and are at most `width` characters where the terminal has one; in a pipe nothing is shortened.
std::string text_table(const std::vector<std::string>& head, std::vector<std::vector<std::string>> rows);

}  // namespace lowrank::cli
