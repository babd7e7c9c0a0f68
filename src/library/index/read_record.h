// What a model file and the files beside it say, as a record for the index. Only headers are read.
#pragma once

#include <filesystem>

#include "formats/lora/lora_summary.h"
#include "library/index/place_table.h"
#include "library/index/record.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {

// Fills everything of `record` that comes from the content: what it is and what people say of it. Where it
// lies, size and times are the caller's; hashes are left alone. Never throws for what a file holds: `problem`
// says it.
void read_record(const PlaceRow& place, const std::filesystem::path& path, const CardSources& sources,
                 formats::LoraSummariser& summariser, Record& record);

// The file's name without its last extension, and that of a diffusers folder.
std::string model_name(const PlaceRow& place, const std::filesystem::path& path);

}  // namespace lowrank::library
