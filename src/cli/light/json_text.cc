#include "cli/light/json_text.h"

#include <fmt/format.h>

namespace lowrank::cli {

void print_json(const nlohmann::ordered_json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace lowrank::cli
