// Which optimisers can be asked for; their rows stand in optimisers.def.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

struct OptimiserRow {
  std::string_view name;  // kohya's
  std::string_view help;
};

std::span<const OptimiserRow> optimiser_table();
std::vector<std::string> optimiser_names();
// Upper and lower case count alike. Throws Error(kBadInput) naming the choices.
const OptimiserRow& optimiser(std::string_view name);

}  // namespace lowrank::request
