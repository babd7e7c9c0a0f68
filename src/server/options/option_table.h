// A1111's options (its settings page), as far as they mean something here or clients read them.
#pragma once

#include <span>
#include <string_view>

#include "server/fields/parameter.h"

namespace lowrank::server {

struct OptionRow {
  ParameterRow parameter;  // name, type, default, range
  // Not to be changed over the network: where files go, what may be fetched. Silently kept, as in A1111.
  bool is_restricted = false;
};

std::span<const OptionRow> option_table();
const OptionRow* find_option(std::string_view name);

}  // namespace lowrank::server
