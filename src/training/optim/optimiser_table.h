// The optimisers by name. Adding one is a class in a file here and a row in request/training/optimiser_rows.inc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "training/optim/optimiser.h"

namespace lowrank::training {

struct OptimiserOptions {
  std::optional<double> weight_decay = {};  // unset: the optimiser's own
  std::string arguments = {};               // as --optimizer-args takes them
  double average_decay = 0;                 // Optimiser::keep_average
};

// `name` as in request/training/optimiser_rows.inc. Throws Error(kBadInput) naming the choices, or an argument that the
// optimiser does not take.
std::unique_ptr<Optimiser> make_optimiser(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimiserOptions& options);

}  // namespace lowrank::training
