// Which Stable Diffusion a LoRA was made for, told by its layers' names and widths, else by its metadata.
#pragma once

#include <string>

#include "formats/lora_file.h"

namespace lowrank::formats {

// Sets base_model and base_model_reason. Names and shapes are certain and win over metadata; a contradiction
// is added to the reason. `has_second_encoder` tells of keys for the second text encoder.
void recognise_base_model(LoraFile& lora, bool has_second_encoder);

}  // namespace lowrank::formats
