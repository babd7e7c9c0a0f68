#include "request/optimisers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "prompt/text.h"

namespace lowrank::request {
namespace {

#define LOWRANK_OPTIMISER(type, name, help) {name, help},
constexpr OptimiserRow kOptimisers[] = {
#include "request/optimisers.def"
};
#undef LOWRANK_OPTIMISER

}  // namespace

std::span<const OptimiserRow> optimiser_table() {
  return kOptimisers;
}

std::vector<std::string> optimiser_names() {
  std::vector<std::string> names;
  for (const auto& row : kOptimisers) names.emplace_back(row.name);
  return names;
}

const OptimiserRow& optimiser(std::string_view name) {
  for (const auto& row : kOptimisers)
    if (prompt::lower(row.name) == prompt::lower(name)) return row;
  throw Error(kBadInput, "unknown optimiser '{}'; choose one of {}.", name,
              fmt::join(optimiser_names(), ", "));
}

}  // namespace lowrank::request
