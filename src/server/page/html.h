#pragma once

#include <string>
#include <string_view>

namespace lowrank::server {

// Text as it is written inside HTML, also inside quotes.
std::string escaped(std::string_view text);

}  // namespace lowrank::server
