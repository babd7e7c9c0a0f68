// The header of a safetensors file gone through once, quickly and without copies. Made for files of the usual
// form; anything else is an answer of "no", upon which weights/safetensors.h reads the file strictly and says
// what is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace lowrank::formats {

struct SkimmedTensor {
  std::string_view key;  // into the text
  std::array<std::int64_t, 8> shape{};
  int dimensions = 0;
  std::int64_t begin = 0, end = 0;  // data offsets
};

struct SkimmedHeader {
  std::vector<SkimmedTensor> tensors;
  std::string_view metadata;    // the JSON object of __metadata__; empty: none
  std::int64_t data_bytes = 0;  // where the last tensor ends
};

// `text` is the JSON header. nullopt: not of the usual form (escapes in keys, unknown fields, gaps are not
// looked for).
std::optional<SkimmedHeader> skim_safetensors(std::string_view text);

}  // namespace lowrank::formats
