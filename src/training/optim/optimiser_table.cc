#include "training/optim/optimiser_table.h"

#include <utility>

#include "base/error.h"
#include "request/training/optimisers.h"
#include "training/optim/adafactor.h"
#include "training/optim/adamw.h"
#include "training/optim/adamw8bit.h"
#include "training/optim/adamw_schedule_free.h"
#include "training/optim/came.h"
#include "training/optim/dadapt_adam.h"
#include "training/optim/lion.h"
#include "training/optim/muon.h"
#include "training/optim/prodigy.h"
#include "training/optim/prodigy_plus_schedule_free.h"
#include "training/optim/sgd.h"

namespace lowrank::training {
namespace {

struct Maker {
  std::string_view name;
  std::unique_ptr<Optimiser> (*make)(std::vector<TrainedParameter> parameters,
                                     const request::OptimiserArguments& arguments);
};

#define LOWRANK_OPTIMISER(type, name, arguments, help)                                             \
  {name, [](std::vector<TrainedParameter> parameters, const request::OptimiserArguments& chosen) { \
     return std::unique_ptr<Optimiser>(std::make_unique<type>(std::move(parameters), chosen));     \
   }},
constexpr Maker kMakers[] = {
#include "request/training/optimiser_rows.inc"
};
#undef LOWRANK_OPTIMISER

}  // namespace

std::unique_ptr<Optimiser> make_optimiser(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimiserOptions& options) {
  const auto arguments = request::optimiser_arguments(name, options.arguments, options.weight_decay);
  const std::string_view known = request::optimiser(name).name;
  for (const auto& maker : kMakers) {
    if (maker.name != known) continue;
    auto optimiser = maker.make(std::move(parameters), arguments);
    optimiser->keep_average(options.average_decay);
    return optimiser;
  }
  LOWRANK_CHECK(false);
}

}  // namespace lowrank::training
