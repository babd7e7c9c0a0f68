// The options of training from scratch, one row each; see option.h.
#pragma once

#include <span>
#include <string_view>

#include "request/training/base_options.h"
#include "request/training/option.h"

namespace lowrank::request {

using BaseOption = TrainingOption<BaseTraining>;

std::span<const BaseOption> base_options();
const BaseOption* find_base_option(std::string_view name);

}  // namespace lowrank::request
