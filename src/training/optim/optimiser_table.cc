#include "training/optim/optimiser_table.h"

#include <utility>

#include "base/error.h"
#include "request/training/optimisers.h"
#include "training/optim/adamw.h"

namespace lowrank::training {
namespace {

struct Maker {
  std::string_view name;
  std::unique_ptr<Optimiser> (*make)(std::vector<TrainedParameter> parameters,
                                     const OptimiserOptions& options);
};

#define LOWRANK_OPTIMISER(type, name, help)                                                     \
  {name, [](std::vector<TrainedParameter> parameters, const OptimiserOptions& options) {        \
     return std::unique_ptr<Optimiser>(std::make_unique<type>(std::move(parameters), options)); \
   }},
constexpr Maker kMakers[] = {
#include "request/training/optimiser_rows.inc"
};
#undef LOWRANK_OPTIMISER

}  // namespace

std::unique_ptr<Optimiser> make_optimiser(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimiserOptions& options) {
  const std::string_view known = request::optimiser(name).name;
  for (const auto& maker : kMakers)
    if (maker.name == known) return maker.make(std::move(parameters), options);
  LOWRANK_CHECK(false);
}

}  // namespace lowrank::training
