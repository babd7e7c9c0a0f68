// A LoRA of smaller ranks that does nearly the same: the largest singular parts of every layer's change.
#pragma once

#include <filesystem>
#include <optional>

#include "edit/merge.h"
#include "edit/ranks.h"

namespace lowrank::edit {

struct ResizeOptions {
  std::filesystem::path input;
  std::optional<std::filesystem::path> base = {};
  RankOptions ranks = {};
  // With RankRule::kSize: a layer's change counts in proportion to the norm of its weight; needs `base`.
  bool relative_to_base = false;
  bool exact_svd = false;
  Precision precision = Precision::kAsInputs;
};

// Every kind in, LoRA and LoCon out. Layers whose factors have the rank already, or fewer, stay what they are. Throws as
// merge().
Report resize(const ResizeOptions& options, const Job& job);

}  // namespace lowrank::edit
