// The options of LoRA training, one row each; see option.h. Adding one is a row here and a field in lora_options.h.
#pragma once

#include <span>
#include <string_view>

#include "request/option.h"
#include "request/training/lora_options.h"

namespace lowrank::request {

using LoraOption = OptionOf<LoraTraining>;

std::span<const LoraOption> lora_options();
// The row of a name, hyphens or underscores; nullptr: there is none.
const LoraOption* find_lora_option(std::string_view name);

// Throws Error(kBadInput) naming the first option that is out of its range or contradicts another.
void check_options(const LoraTraining& job);

}  // namespace lowrank::request
