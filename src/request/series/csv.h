// Lists of values as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

// Items between commas, as Python's csv reader with skipinitialspace splits them, each trimmed.
std::vector<std::string> split_csv(std::string_view text);
// The way back: quotes around what needs them.
std::string joined_csv(const std::vector<std::string>& items);

}  // namespace lowrank::request
