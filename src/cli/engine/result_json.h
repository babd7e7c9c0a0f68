// The result of a generation for programs: what `--json` prints.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "pipeline/result.h"

namespace lowrank::cli {

// One JSON object: pictures (file, seed, subseed, width, height, parameters), loras (the apply reports),
// missing_loras, warnings, seconds, unet_passes. `files` are the pictures' in order.
std::string result_json(const pipeline::GenerationResult& result,
                        std::span<const std::filesystem::path> files);

}  // namespace lowrank::cli
