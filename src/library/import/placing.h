// Where a file that is taken in belongs, and whether it is what it should be.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "library/index/place_table.h"

namespace lowrank::library {

// The sub-folder of a base model. "SD 1.5" and "runwayml/stable-diffusion-v1-5" give SD1; names of their own (Pony)
// stay; "" nothing is known. `architecture` is what the file itself says.
std::string base_folder(const std::string& said, const std::string& architecture);

// What the bytes of a part are: the family of a LoRA; "" for others. Throws Error when they are not what they should
// be, and removes the part.
std::string check_content(const std::filesystem::path& part, std::string_view kind,
                          const std::string& file_name);

// A file's name without its extension.
std::string stem_of(const std::string& name);

}  // namespace lowrank::library
