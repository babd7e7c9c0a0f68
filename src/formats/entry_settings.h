// What stands neither in one module's tensors nor in their shapes, and is told by its settings or by other modules.
#pragma once

#include <string>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

// What the file and its settings do not tell and its change needs; "" when nothing is missing.
std::string missing_settings(const LoraEntry& entry);

// PEFT's magnitude under LyCORIS' name keeps PEFT's shapes, [out] of a linear layer and [1, out, 1, 1] of a convolution,
// which for as many outputs as inputs is LyCORIS' shape per input. The other layers tell who wrote it.
void tell_magnitudes(LoraFile& lora);

}  // namespace lowrank::formats
