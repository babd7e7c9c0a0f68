// Names that come near a misspelt one, for "did you mean …".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::library {

// Number of single-character insertions, removals, exchanges and swaps of neighbours between two words
// (optimal string alignment). Bytes count, case counts.
std::size_t edit_distance(std::string_view a, std::string_view b);

// Up to three of `known` that come near `name`, nearest first, without regard to the case of ASCII letters:
// those that contain it or need few edits.
std::vector<std::string> near_names(std::string_view name, std::span<const std::string> known);

// " Did you mean A or B?", or "" when nothing comes near.
std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace lowrank::library
