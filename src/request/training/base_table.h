// The options of training from scratch, one row each; see option.h.
#pragma once

#include <span>

#include "request/training/base_options.h"
#include "request/training/option.h"

namespace lowrank::request {

using BaseOption = TrainingOption<BaseTraining>;

std::span<const BaseOption> base_options();

}  // namespace lowrank::request
