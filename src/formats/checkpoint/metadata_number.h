// Numbers that stand in a checkpoint's metadata.
#pragma once

#include <optional>
#include <string>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

// The entry `key` of the metadata; nullopt: there is none. Throws Error(kBadInput) where it is no number from `low` to `high`.
std::optional<double> metadata_number(const Checkpoint& checkpoint, const std::string& key, double low,
                                      double high);

}  // namespace lowrank::formats
