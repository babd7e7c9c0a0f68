// The options of training from scratch, one row each; see option.h.
#pragma once

#include <span>

#include "request/option.h"
#include "request/training/base_options.h"

namespace lowrank::request {

using BaseOption = OptionOf<BaseTraining>;

std::span<const BaseOption> base_options();

}  // namespace lowrank::request
