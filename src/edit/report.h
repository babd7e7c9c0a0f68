// What an operation made, and what it cost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edit/source.h"

namespace lowrank::edit {

enum class Precision { kAsInputs, kFloat32, kFloat16, kBfloat16 };

// ‖ΔW − written‖ / ‖ΔW‖ over a block's reduced layers, Frobenius; before the rounding to the file's type.
struct BlockError {
  std::int64_t layers = 0;
  double lost = 0, norm = 0;  // squared
  double relative() const;
};

struct Report {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::int64_t layers = 0, joined = 0, whole = 0, norms = 0, reduced = 0;
  std::map<std::string, BlockError> errors = {};  // by block as in prompts; empty: nothing was reduced
  BlockError error = {};                          // of all
  std::vector<std::string> notes = {};            // one sentence each: what was left out, rounded or assumed
};

// The written type of a file that is computed from these.
weights::DType output_type(Precision precision, const std::vector<std::unique_ptr<Source>>& sources);

}  // namespace lowrank::edit
