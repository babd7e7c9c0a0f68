// Which Stable Diffusion a LoRA was made for, told by its layers' names and widths, else by its metadata.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

// Sets base_model, its reason and whether the layers alone tell it. Names and shapes are certain and win over metadata; a
// contradiction is added to the reason. Where they leave several families open (SDXL's first text encoder is as wide as
// SD 1.x's), metadata choose among these. `has_second_encoder` tells of keys for the second text encoder.
void recognise_base_model(LoraFile& lora, bool has_second_encoder);
// The same with the metadata given, for entries that were read without their file.
void recognise_base_model(LoraFile& lora, bool has_second_encoder,
                          const std::map<std::string, std::string>& metadata);

// Whether recognise_base_model() looks at a module of that flattened name. Of text encoders the first that it finds is enough.
bool tells_family(std::string_view flat);

// Input width of the layer that an entry changes; 0 when its tensors do not tell.
std::int64_t input_width(const LoraEntry& entry);

// How people write a family: "SD 1.x", "SD 2.x", "SDXL"; "other" for all else. Of an architecture as LoraSummary names
// it, where other families keep their own name ("FLUX").
std::string_view family_name(BaseModel model);
std::string_view family_name(std::string_view architecture);

// As lists and filters name a family: "SD1", "SD2", "SDXL"; "" for all else.
std::string_view architecture_name(BaseModel model);

}  // namespace lowrank::formats
