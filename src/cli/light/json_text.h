// JSON for programs: what `--json` prints.
#pragma once

#include <nlohmann/json.hpp>

namespace lowrank::cli {

// Prints one JSON value, indented, with a newline. Text that is no UTF-8 is printed with U+FFFD in place of
// the bad bytes.
void print_json(const nlohmann::ordered_json& value);

}  // namespace lowrank::cli
