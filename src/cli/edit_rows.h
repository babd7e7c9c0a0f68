// The rows of the commands that take LoRA files apart and put them together.
#pragma once

#include <vector>

#include "cli/command_row.h"

namespace lowrank::cli {

// Those of `lowrank lora`, to stand behind the others of that group.
std::vector<CommandRow> edit_rows(const OptionRow& data_dir, const OptionRow& threads, const OptionRow& json);

}  // namespace lowrank::cli
