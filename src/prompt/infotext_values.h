// Values of settings, as A1111 writes them and as people and other programs do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lowrank::prompt {

using SizeText = std::pair<std::string, std::string>;  // width and height as written

// "512x768"; nullopt for anything else.
std::optional<SizeText> split_size(std::string_view value);
// The same also with blanks, another cross (X, ×, *) or a unit behind it: "512 × 768 px".
std::optional<SizeText> split_loose_size(std::string_view value);

// Behind a number at `at` that has a decimal comma ("CFG scale: 7,5") or commas between its thousands ("Seed:
// 1,234,567"), if a value of `label` is such a number; 0 otherwise.
std::size_t comma_number_end(std::string_view text, std::size_t at, std::string_view label);
// Such a number with a point, or without commas.
std::string without_commas(std::string_view number, std::string_view label);

// The largest seed that LowRank draws with; pictures of other programs have larger ones.
inline constexpr std::int64_t kLargestSeed = 9'200'000'000'000'000'000;
// "" for a seed that can be drawn with; else a sentence without a full stop.
std::string seed_fault(std::string_view seed);

}  // namespace lowrank::prompt
