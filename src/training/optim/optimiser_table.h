// The optimisers by name. Adding one is a class in a file here and a row in request/training/optimiser_rows.inc.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "training/optim/optimiser.h"

namespace lowrank::training {

// `name` as in request/training/optimiser_rows.inc. Throws Error(kBadInput) naming the choices.
std::unique_ptr<Optimiser> make_optimiser(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimiserOptions& options);

}  // namespace lowrank::training
